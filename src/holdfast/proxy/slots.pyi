"""Slots: the requests that wait for a reply. Seen from C only."""
