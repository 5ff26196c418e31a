# Held replies: what may not leave before replicas have acknowledged it.

from libc.stdint cimport int64_t
from holdfast.engine.state cimport Engine, Session

# Hold what the session's last request replied (from `begin` to the end of out).
cdef void hold_reply(Session s, size_t begin) noexcept
# Bytes of out that may leave now.
cdef inline size_t free_bytes(Session s) noexcept nogil:
    return s.held[0].begin if s.held_count else s.out.len
# `n` bytes have left: positions move.
cdef void shift_held(Session s, size_t n) noexcept nogil
