"""A snapshot written in slices between ticks (see the `.pyx`)."""

from holdfast.engine.state import Engine

class SnapshotWalk:
    """The walk of one snapshot: what the engine held when it was made."""

    ended: bool
    keys: int
    """Keys written."""
    keys_told: int
    """Keys there were at the start."""

    def __init__(
        self,
        engine: Engine,
        head: bytes,
        *,
        commands: bool,
        compress: bool,
        checksum: bool,
        idle: bool = False,
        frequency: bool = False,
    ) -> None: ...
    def step(self, budget_bytes: int) -> bytes:
        """Return the next bytes, about so many; empty when `ended`."""
    def stop(self) -> None:
        """End the walk; a snapshot that has not ended is worth nothing."""
