"""Requests over several shards. Seen from C only."""
