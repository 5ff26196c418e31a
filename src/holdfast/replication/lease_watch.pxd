# The two looks at the clock that a tick takes under a lease.

from libc.stdint cimport int64_t
from holdfast.engine.state cimport Engine
from holdfast.server.machine_clock cimport MachineClock

cdef class LeaseWatch:
    cdef Engine engine
    cdef object clock               # the host's
    cdef MachineClock machine       # the same where it is the machine's own, read without Python; else None
    cdef public bint is_watched     # writes hang on a lease: else both looks are nothing
    cdef public bint is_missing     # there is none: writes wait or are refused
    cdef public bint has_lapsed     # it ended while this tick ran, which wrote
    cdef public int64_t sure_until_us   # the lease's end on CLOCK_BOOTTIME
    cdef public int64_t dirty       # the engine's count of changes when the tick began
    cdef int64_t now_us(self) except? -1
    # The two looks.
    cdef int begin(self) except -1
    cdef int end(self) except -1
