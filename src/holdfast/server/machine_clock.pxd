# The machine's clocks, for Python and, without a Python object, for compiled code.

from libc.stdint cimport int64_t

cdef class MachineClock:
    # As the Python methods `wall_us` and `boot_us`.
    cdef int64_t wall(self) noexcept nogil
    cdef int64_t boot(self) noexcept nogil
