"""PSYNC, acknowledgements, fencing: decisions first, plumbing last."""
