"""What a node counts in each tick, where compiled code adds to it."""

class Counters:
    """Bytes of replication and ticks since the start, or since CONFIG RESETSTAT."""

    replication_input_bytes: int
    """Snapshots and stream, from the primary."""
    replication_output_bytes: int
    """Snapshots and stream, to replicas."""
    tick_count: int
    tick_us: int
    """Microseconds spent between the opening and the end of ticks."""
