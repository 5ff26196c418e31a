"""The backlog: the stream kept once, for all replicas, waiting syncs and late comers."""

from collections.abc import Iterator

BLOCK_BYTES: int
"""Small appends are joined up to this; a larger append becomes a block of its own."""

class NotKept(LookupError):
    """The byte asked for is not in the backlog."""

class Reader:
    """One who still needs the stream from `next_byte` on."""

    next_byte: int

class Backlog:
    """The stream's recent past. `size_bytes` is what is kept without readers."""

    size_bytes: int
    @property
    def next_byte(self) -> int:
        """The number of the byte that comes next."""
    def __init__(self, size_bytes: int, next_byte: int = 1) -> None: ...
    @property
    def first_byte(self) -> int:
        """The number of the oldest byte kept, or of the next one if none is."""
    @property
    def kept_bytes(self) -> int:
        """How many bytes are kept now."""
    def append(self, chunk: bytes) -> None:
        """Add bytes of the stream."""
    def has(self, byte: int) -> bool:
        """Tell whether the stream can be read from `byte` on."""
    def read(self, byte: int, limit_bytes: int = 1 << 20) -> bytes:
        """Return some of the stream from `byte` on, up to the end of its block; empty at the end. NotKept."""
    def read_all(self, byte: int) -> Iterator[bytes]:
        """Yield everything from `byte` to the present end."""
    def open_reader(self, byte: int) -> Reader:
        """Keep the stream from `byte` on until the reader moves or is closed. NotKept."""
    def close_reader(self, reader: Reader) -> None:
        """Forget a reader; what only it needed goes with the next trim."""
    def lag_bytes(self, reader: Reader) -> int:
        """Return how much a reader has not taken yet."""
    def resize(self, size_bytes: int) -> None:
        """Change the configured size."""
    def trim(self) -> None:
        """Drop the oldest blocks that neither the size nor a reader asks for."""
    def note_replicas(self, replica_count: int, now_ms: int) -> None:
        """Start or stop the time to live: it runs while no replica is attached."""
    def seconds_left(self, time_to_live_s: int, now_ms: int) -> float | None:
        """Return how long the backlog lives on without replicas; None: for ever. At 0 the node drops it."""
