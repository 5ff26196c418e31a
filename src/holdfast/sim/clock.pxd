# The clock of one host, and what it is told of the loop.

cdef class Running:
    cdef public double stalled_until    # virtual seconds

cdef class Moment:
    cdef public double now              # virtual seconds, the same for all
    cdef public Running life            # whose code runs now: a `life.Life`
    cdef double local(self) noexcept

cdef class HostClock:
    cdef Moment _loop
    cdef double _base                   # virtual seconds
    cdef double _base_boot              # what the boot clock showed then
    cdef long long _wall_offset_us
    cdef public double rate             # seconds of this clock in one virtual second
    cpdef double boot_seconds(self, double now)
    cpdef long long boot_us(self)
    cpdef long long wall_us(self)
