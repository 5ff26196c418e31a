"""Connections of a client's own. Seen from C only."""
