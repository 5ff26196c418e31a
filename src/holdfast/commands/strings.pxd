# String commands. The index of the family is `register` in strings.pyx.
from libc.stdint cimport int64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.state cimport Engine, Session

# Store a string, as a number where it is one; its expiry as in ks_set_string.
cdef void store(Session s, Slice key, Slice value, int64_t at_ms, bint keep_ttl) noexcept
cpdef int register(Engine e) except -1
