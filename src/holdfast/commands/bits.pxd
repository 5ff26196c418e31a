# Bits of strings. The index is `register` in bits.pyx.
from libc.stdint cimport uint64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.state cimport Engine, Session

# A bit offset; in the form "#n" (bits > 0 only) it counts fields of `bits` bits. False: answered with an
# error.
cdef bint bit_offset(Session s, Slice arg, int bits, uint64_t* out) noexcept
cpdef int register(Engine e) except -1
