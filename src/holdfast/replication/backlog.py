"""The backlog: the stream kept once, for all replicas, waiting syncs and late comers.

What this is: a row of immutable blocks of the replication stream, addressed by the
number of the byte. Every reader (an online replica, a sync that waits for its
snapshot) is only an offset into it, a `Reader`; what a reader still needs is kept
whatever the configured size is, and the plumbing closes readers that lag too far
(client-output-buffer-limit replica).

What this is not: sending, or counting a replica's unsent bytes on a socket.

How to read it: `append` and `read` are the hot ends; `trim` drops whole blocks that
neither the size nor a reader asks for.

Invariants: blocks are contiguous; `first_byte` <= any reader's next byte <= `next_byte`.
Bytes are numbered from 1, as in PSYNC: with an empty stream `next_byte` is 1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

BLOCK_BYTES = 64 * 1024
"""Small appends are joined up to this; a larger append becomes a block as it is, without a copy."""


class NotKept(LookupError):
    """The byte asked for is not in the backlog."""


@dataclass(slots=True, eq=False)
class Reader:
    """One who still needs the stream from `next_byte` on."""

    next_byte: int


class Backlog:
    """The stream's recent past. `size_bytes` is what is kept without readers."""

    def __init__(self, size_bytes: int, next_byte: int = 1) -> None:
        self.size_bytes = size_bytes
        self.next_byte = next_byte
        self._blocks: list[bytes | bytearray] = []
        self._starts: list[int] = []
        self._readers: list[Reader] = []
        self._unused_since_ms: int | None = None

    @property
    def first_byte(self) -> int:
        """Return the number of the oldest byte kept, or of the next one if none is."""
        return self._starts[0] if self._starts else self.next_byte

    @property
    def kept_bytes(self) -> int:
        """Return how many bytes are kept now."""
        return self.next_byte - self.first_byte

    def append(self, chunk: bytes) -> None:
        """Add what one tick produced. `chunk` must not change later."""
        if not chunk:
            return
        last = self._blocks[-1] if self._blocks else None
        if isinstance(last, bytearray) and len(last) + len(chunk) <= BLOCK_BYTES:
            last += chunk
        else:
            if isinstance(last, bytearray):
                self._blocks[-1] = bytes(last)
            self._starts.append(self.next_byte)
            self._blocks.append(chunk if len(chunk) >= BLOCK_BYTES else bytearray(chunk))
        self.next_byte += len(chunk)
        starts = self._starts
        if len(starts) > 1 and self.next_byte - starts[1] >= self.size_bytes:
            self.trim()  # now the size alone does not keep the oldest block

    def has(self, byte: int) -> bool:
        """Tell whether the stream can be read from `byte` on."""
        return self.first_byte <= byte <= self.next_byte

    def read(self, byte: int, limit_bytes: int = 1 << 20) -> bytes | memoryview:
        """Return some of the stream from `byte` on, up to the end of its block; empty at the end.

        Raises NotKept.
        """
        if not self.has(byte):
            raise NotKept(f"byte {byte} is not kept, only {self.first_byte} to {self.next_byte}")
        if byte == self.next_byte:
            return b""
        index = bisect_right(self._starts, byte) - 1
        block, begin = self._blocks[index], byte - self._starts[index]
        if isinstance(block, bytearray):  # still growing: a view would forbid to append
            return bytes(block[begin : begin + limit_bytes])
        return memoryview(block)[begin : begin + limit_bytes]

    def read_all(self, byte: int) -> Iterator[bytes | memoryview]:
        """Yield everything from `byte` to the present end."""
        while piece := self.read(byte):
            yield piece
            byte += len(piece)

    def open_reader(self, byte: int) -> Reader:
        """Keep the stream from `byte` on until the reader moves or is closed. Raises NotKept."""
        if not self.has(byte):
            raise NotKept(f"byte {byte} is not kept, only {self.first_byte} to {self.next_byte}")
        reader = Reader(byte)
        self._readers.append(reader)
        return reader

    def close_reader(self, reader: Reader) -> None:
        """Forget a reader; what only it needed goes with the next trim."""
        self._readers.remove(reader)
        self.trim()

    def lag_bytes(self, reader: Reader) -> int:
        """Return how much a reader has not taken yet."""
        return self.next_byte - reader.next_byte

    def resize(self, size_bytes: int) -> None:
        """Change the configured size."""
        self.size_bytes = size_bytes
        self.trim()

    def trim(self) -> None:
        """Drop the oldest blocks that neither the size nor a reader asks for."""
        needed_from = min((reader.next_byte for reader in self._readers), default=self.next_byte)
        keep_from = min(self.next_byte - self.size_bytes, needed_from)
        drop = bisect_right(self._starts, keep_from) - 1
        if drop > 0:
            del self._blocks[:drop], self._starts[:drop]

    def note_replicas(self, replica_count: int, now_ms: int) -> None:
        """Start or stop the time to live: it runs while no replica is attached."""
        if replica_count:
            self._unused_since_ms = None
        elif self._unused_since_ms is None:
            self._unused_since_ms = now_ms

    def seconds_left(self, time_to_live_s: int, now_ms: int) -> float | None:
        """Return how long the backlog lives on without replicas; None: for ever. At 0 the node drops it.

        The node that drops it takes a new replication id, for what it writes then is not kept.
        """
        if self._unused_since_ms is None or not time_to_live_s:
            return None
        return max(0.0, time_to_live_s - (now_ms - self._unused_since_ms) / 1000)
