"""Fault runs with real processes, ours and others side by side."""
