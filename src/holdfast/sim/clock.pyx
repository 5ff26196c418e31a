"""The clock of one host: it drifts and jumps.

What this is: `holdfast.server.host.Clock` over virtual time. What it is not: the
time by which the simulator orders events, which is `SimLoop.now` and the same for
all; a process never sees that one.

How to read it: the boot clock is a straight line over virtual time, `rate` steep,
and continuous when the rate changes. The wall clock is the boot clock plus an
offset that may jump. Timers of a process follow its boot clock; those already set
keep the moment computed with the rate of then.
"""

from libc.math cimport rint

WALL_AT_START_US = 1_750_000_000_000_000
"""Where the wall clocks stand when a world begins (a morning in June 2025)."""


cdef class Running:
    """Whose code runs: until when it is inside a blocking call."""


cdef class Moment:
    """Where virtual time stands, and for whom."""

    cdef double local(self) noexcept:
        """Return virtual time as the running code sees it: later than `now` inside a blocking call.

        It compares two numbers: nothing in it raises.
        """
        return self.life.stalled_until if self.life.stalled_until > self.now else self.now


cdef class HostClock:
    """Clock of one host; see `holdfast.server.host.Clock`."""

    def __init__(self, Moment loop, double boot_seconds=0.0):
        """Make a clock that runs true and booted `boot_seconds` ago."""
        self._loop = loop
        self._base = loop.now
        self._base_boot = boot_seconds
        self._wall_offset_us = WALL_AT_START_US - <long long>rint((boot_seconds - loop.now) * 1e6)
        self.rate = 1.0

    cpdef double boot_seconds(self, double now):
        """Return what the boot clock shows at virtual time `now`, in seconds."""
        return self._base_boot + (now - self._base) * self.rate

    cpdef long long boot_us(self):
        """Return microseconds of the boot clock, as the code that runs now sees it."""
        return <long long>rint((self._base_boot + (self._loop.local() - self._base) * self.rate) * 1e6)

    cpdef long long wall_us(self):
        """Return microseconds since 1970, as the code that runs now sees it."""
        return self.boot_us() + self._wall_offset_us

    def drift(self, double rate):
        """Run from now on at `rate` (1.0 is true, 1.1 a tenth too fast)."""
        if rate <= 0:
            raise ValueError("a clock's rate is above zero")
        cdef double now = self._loop.now
        self._base_boot = self.boot_seconds(now)
        self._base = now
        self.rate = rate

    def jump(self, double seconds):
        """Move the wall clock by `seconds`, either way; the boot clock never jumps."""
        self._wall_offset_us += <long long>rint(seconds * 1e6)

    def reboot(self):
        """Begin the boot clock at zero again; the wall clock (battery backed) goes on."""
        cdef double now = self._loop.now
        self._wall_offset_us += <long long>rint(self.boot_seconds(now) * 1e6)
        self._base_boot = 0.0
        self._base = now
