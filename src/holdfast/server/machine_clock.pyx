"""The machine's clocks: the one place of compiled code that reads them for a node.

What it is: `holdfast.server.host.Clock` over clock_gettime, compiled because each tick reads it
several times. What it is not: a cache of the time (the loop's owner keeps that, once per tick).

How to read it: two clocks, each for Python and for C.
"""

cdef extern from *:
    """
    #include <stdint.h>
    #include <time.h>
    #if !defined(CLOCK_BOOTTIME)    /* macOS */
    #define CLOCK_BOOTTIME CLOCK_MONOTONIC
    #endif
    static int64_t hf_clock_us(clockid_t clock) {
        struct timespec t;
        clock_gettime(clock, &t);
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
    }
    #define hf_wall_us() hf_clock_us(CLOCK_REALTIME)
    #define hf_boot_us() hf_clock_us(CLOCK_BOOTTIME)
    """
    int64_t hf_wall_us() nogil
    int64_t hf_boot_us() nogil


cdef class MachineClock:
    """The system's clocks; see `holdfast.server.host.Clock`."""

    cdef int64_t wall(self) noexcept nogil:
        return hf_wall_us()

    cdef int64_t boot(self) noexcept nogil:
        return hf_boot_us()

    def wall_us(self):
        """Return microseconds since 1970."""
        return hf_wall_us()

    def boot_us(self):
        """Return microseconds of CLOCK_BOOTTIME (CLOCK_MONOTONIC where there is none)."""
        return hf_boot_us()
