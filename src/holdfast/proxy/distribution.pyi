"""Which of a pool's servers a hash belongs to: ketama, modula, random."""

from collections.abc import Sequence

NAMES: tuple[str, ...]
"""As `distribution:` spells them."""

class Distribution:
    """The circle (ketama) or the row (modula, random) of a pool's living servers."""

    name: str
    point_count: int

    def __init__(self, name: str, seed: int = 1) -> None: ...
    def rebuild(self, servers: Sequence[tuple[bytes, int]], live: Sequence[bool]) -> None:
        """Lay out the servers, (name, weight) each, that are alive; their index stays that in `servers`."""
    def server_of(self, hashed: int) -> int:
        """Return the index of the server of a hash. ValueError when none is alive."""
