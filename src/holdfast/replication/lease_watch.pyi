"""The lease in each tick: the clock before anything runs, and again before replies leave."""

from holdfast.replication.ports import Node

class LeaseWatch:
    """The lease's end as ticks ask for it."""

    is_watched: bool
    """Writes hang on a lease: else both looks are nothing."""
    is_missing: bool
    """There is none: writes wait or are refused."""
    has_lapsed: bool
    """It ended while this tick ran, which wrote."""
    sure_until_us: int
    """The lease's end on the boot clock."""
    dirty: int
    """The engine's count of changes when the tick began."""

    def __init__(self, node: Node, *more: object) -> None: ...
    def end_tick(self) -> None:
        """Look at the clock again before replies leave; what was written without a lease is held."""

    def look(self) -> None:
        """Go where the clock says."""

    def hold_replies(self) -> None:
        """Hold the replies of this tick."""
