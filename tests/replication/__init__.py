"""Replication: its decisions, its model, its plumbing."""
