"""The backlog: the stream kept once, for all replicas, waiting syncs and late comers.

What this is: a row of blocks of the replication stream, addressed by the number of the
byte. Every reader (an online replica, a sync that waits for its snapshot) is only an
offset into it, a `Reader`; what a reader still needs is kept whatever the configured
size is, and the plumbing closes readers that lag too far (client-output-buffer-limit
replica).

What this is not: sending, or counting a replica's unsent bytes on a socket.

How to read it: `add` and `peek` are the hot ends; `trim` drops whole blocks that
neither the size nor a reader asks for.

Bytes are numbered from 1, as in PSYNC: with an empty stream `next_byte` is 1.
"""

from bisect import bisect_right
from cpython.bytearray cimport (
    PyByteArray_AS_STRING, PyByteArray_FromStringAndSize, PyByteArray_GET_SIZE, PyByteArray_Resize)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

BLOCK_BYTES = 64 * 1024

cdef enum:
    BLOCK = 64 * 1024       # small appends are joined up to this; a larger append becomes a block of its own


class NotKept(LookupError):
    """The byte asked for is not in the backlog."""


cdef class Reader:
    """One who still needs the stream from `next_byte` on."""

    def __cinit__(self, int64_t next_byte):
        self.next_byte = next_byte


cdef class Backlog:
    """The stream's recent past."""

    def __cinit__(self, int64_t size_bytes, int64_t next_byte=1):
        self.size_bytes = size_bytes
        self.next_byte = next_byte
        self.blocks = []
        self.starts = []
        self.readers = []

    @property
    def first_byte(self):
        """Return the number of the oldest byte kept, or of the next one if none is."""
        return self.starts[0] if self.starts else self.next_byte

    @property
    def kept_bytes(self):
        """Return how many bytes are kept now."""
        return self.next_byte - self.first_byte

    cdef int add(self, const char* p, size_t n) except -1:
        cdef size_t filled
        if n == 0:
            return 0
        filled = PyByteArray_GET_SIZE(self.growing) if self.growing is not None else BLOCK
        if filled + n <= BLOCK:
            PyByteArray_Resize(self.growing, filled + n)
            memcpy(PyByteArray_AS_STRING(self.growing) + filled, p, n)
        else:
            if self.growing is not None:
                self.blocks[len(self.blocks) - 1] = bytes(self.growing)
            self.growing = PyByteArray_FromStringAndSize(p, n) if n < BLOCK else None
            self.starts.append(self.next_byte)
            self.blocks.append(PyBytes_FromStringAndSize(p, n) if self.growing is None else self.growing)
        self.next_byte += n
        if len(self.starts) > 1 and self.next_byte - <int64_t>self.starts[1] >= self.size_bytes:
            self.trim()     # now the size alone does not keep the oldest block
        return 0

    def append(self, bytes chunk not None):
        """Add bytes of the stream."""
        self.add(chunk, len(chunk))

    def has(self, int64_t byte):
        """Tell whether the stream can be read from `byte` on."""
        return self.first_byte <= byte <= self.next_byte

    cdef ssize_t peek(self, int64_t byte, size_t limit, const char** p) except -1:
        cdef Py_ssize_t index = len(self.starts) - 1
        cdef int64_t begin
        cdef size_t n
        if byte == self.next_byte:
            return 0
        if index < 0 or not <int64_t>self.starts[0] <= byte < self.next_byte:
            raise NotKept(f"byte {byte} is not kept, only {self.first_byte} to {self.next_byte}")
        begin = self.starts[index]
        if byte < begin:        # readers stand in the last block, but for those that lag
            index = bisect_right(self.starts, byte) - 1
            begin = self.starts[index]
        block = self.blocks[index]
        if block is self.growing:
            p[0] = PyByteArray_AS_STRING(block) + (byte - begin)
            n = PyByteArray_GET_SIZE(block) - (byte - begin)
        else:
            p[0] = PyBytes_AS_STRING(block) + (byte - begin)
            n = PyBytes_GET_SIZE(block) - (byte - begin)
        return n if n < limit else limit

    def read(self, int64_t byte, size_t limit_bytes=1 << 20):
        """Return some of the stream from `byte` on, up to the end of its block; empty at the end.

        Raises NotKept.
        """
        cdef const char* p = NULL
        cdef ssize_t n = self.peek(byte, limit_bytes, &p)
        return p[:n] if n else b""

    def read_all(self, int64_t byte):
        """Yield everything from `byte` to the present end."""
        while piece := self.read(byte):
            yield piece
            byte += len(piece)

    def open_reader(self, int64_t byte):
        """Keep the stream from `byte` on until the reader moves or is closed. Raises NotKept."""
        if not self.has(byte):
            raise NotKept(f"byte {byte} is not kept, only {self.first_byte} to {self.next_byte}")
        reader = Reader(byte)
        self.readers.append(reader)
        return reader

    def close_reader(self, Reader reader):
        """Forget a reader; what only it needed goes with the next trim."""
        self.readers.remove(reader)
        self.trim()

    def lag_bytes(self, Reader reader):
        """Return how much a reader has not taken yet."""
        return self.next_byte - reader.next_byte

    def resize(self, int64_t size_bytes):
        """Change the configured size."""
        self.size_bytes = size_bytes
        self.trim()

    def trim(self):
        """Drop the oldest blocks that neither the size nor a reader asks for."""
        cdef int64_t keep_from = self.next_byte - self.size_bytes
        cdef Reader reader
        for reader in self.readers:
            keep_from = min(keep_from, reader.next_byte)
        drop = bisect_right(self.starts, keep_from) - 1
        if drop > 0:
            del self.blocks[:drop], self.starts[:drop]

    def note_replicas(self, int replica_count, int64_t now_ms):
        """Start or stop the time to live: it runs while no replica is attached."""
        if replica_count:
            self.unused_since_ms = None
        elif self.unused_since_ms is None:
            self.unused_since_ms = now_ms

    def seconds_left(self, int64_t time_to_live_s, int64_t now_ms):
        """Return how long the backlog lives on without replicas; None: for ever. At 0 the node drops it.

        The node that drops it takes a new replication id, for what it writes then is not kept.
        """
        if self.unused_since_ms is None or not time_to_live_s:
            return None
        return max(0.0, time_to_live_s - (now_ms - <int64_t>self.unused_since_ms) / 1000)
