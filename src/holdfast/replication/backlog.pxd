# The backlog: the stream kept once, in blocks addressed by the number of the byte.

from libc.stdint cimport int64_t

# One who still needs the stream from `next_byte` on.
cdef class Reader:
    cdef public int64_t next_byte

# Invariants: blocks are contiguous; `first_byte` <= any reader's next byte <= `next_byte`.
cdef class Backlog:
    cdef public int64_t size_bytes      # what is kept without readers
    cdef readonly int64_t next_byte
    cdef list blocks                    # of bytes; the last may be a bytearray that grows
    cdef list starts                    # the number of the first byte of each
    cdef object growing                 # the last block, as long as small appends are joined to it, else None
    cdef list readers
    cdef object unused_since_ms
    # Add bytes of the stream.
    cdef int add(self, const char* p, size_t n) except -1
    # Where the stream from `byte` on stands, and how much of it, up to the end of its block; 0 at the end.
    # Valid until the next `add`. NotKept.
    cdef ssize_t peek(self, int64_t byte, size_t limit, const char** p) except -1
