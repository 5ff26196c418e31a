"""One address in front of many nodes."""
