"""RDB and AOF: formats, decisions, and the thin part that touches the disk."""
