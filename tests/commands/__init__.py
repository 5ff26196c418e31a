"""Commands as a client sees them, on a server process of their own."""
