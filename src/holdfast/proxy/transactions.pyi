"""Transactions: gathered here, sent whole at EXEC. Seen from C only."""
