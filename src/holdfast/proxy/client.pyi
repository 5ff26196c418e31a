"""Clients: requests in, replies out in the order of the requests. Seen from C only."""
