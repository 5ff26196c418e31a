"""Whole RDB files, read as bytes come in (see the `.pyx`)."""

from holdfast.engine.state import Engine

class RdbReader:
    """Takes the bytes of one RDB in order and puts its keys into an engine."""

    version: int
    ended: bool
    """The end mark was read and the checksum, if there is one, is right."""
    fields: dict[bytes, bytes]
    """Aux fields."""
    functions: list[bytes]
    """Function libraries, as their source."""
    keys: int
    """Keys loaded."""
    expired: int
    """Keys left out because they had expired."""
    empty: int
    """Keys left out because they held nothing."""
    volatile: int
    """Keys loaded that expire."""
    keys_told: int
    """Keys that the file promised so far."""

    def __init__(
        self,
        engine: Engine,
        *,
        check_seal: bool = True,
        skip_expired: bool = True,
        total_bytes: int = -1,
    ) -> None: ...
    def feed(self, chunk: bytes | bytearray | memoryview) -> int:
        """Take the next bytes; return how many of them belong to the RDB. RdbRefused."""
    @property
    def done_bytes(self) -> int:
        """Return how many bytes were read for good."""
    @property
    def at_key(self) -> bytes | None:
        """Return the key under way, if any."""
