"""The clock of one host: it drifts and jumps.

What this is: `holdfast.server.host.Clock` over virtual time. What it is not: the
time by which the simulator orders events, which is `SimLoop.now` and the same for
all; a process never sees that one.

How to read it: the boot clock is a straight line over virtual time, `rate` steep,
and continuous when the rate changes. The wall clock is the boot clock plus an
offset that may jump. Timers of a process follow its boot clock; those already set
keep the moment computed with the rate of then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.sim.loop import SimLoop

WALL_AT_START_US = 1_750_000_000_000_000
"""Where the wall clocks stand when a world begins (a morning in June 2025)."""


class HostClock:
    """Clock of one host; see `holdfast.server.host.Clock`."""

    __slots__ = ("_base", "_base_boot", "_loop", "_wall_offset_us", "rate")

    def __init__(self, loop: SimLoop, boot_seconds: float = 0.0) -> None:
        """Make a clock that runs true and booted `boot_seconds` ago."""
        self._loop = loop
        self._base = loop.now
        self._base_boot = boot_seconds
        self._wall_offset_us = WALL_AT_START_US - round((boot_seconds - loop.now) * 1e6)
        self.rate = 1.0
        """Seconds of this clock in one virtual second."""

    def boot_seconds(self, now: float) -> float:
        """Return what the boot clock shows at virtual time `now`, in seconds."""
        return self._base_boot + (now - self._base) * self.rate

    def boot_us(self) -> int:
        """Return microseconds of the boot clock, as the code that runs now sees it."""
        loop = self._loop  # `loop.local_now` and `boot_seconds`, unfolded: nothing is called more often
        now, stalled_until = loop.now, loop.life.stalled_until
        if stalled_until > now:
            now = stalled_until
        return round((self._base_boot + (now - self._base) * self.rate) * 1e6)

    def wall_us(self) -> int:
        """Return microseconds since 1970, as the code that runs now sees it."""
        loop = self._loop
        now, stalled_until = loop.now, loop.life.stalled_until
        if stalled_until > now:
            now = stalled_until
        return round((self._base_boot + (now - self._base) * self.rate) * 1e6) + self._wall_offset_us

    def drift(self, rate: float) -> None:
        """Run from now on at `rate` (1.0 is true, 1.1 a tenth too fast)."""
        if rate <= 0:
            raise ValueError("a clock's rate is above zero")
        now = self._loop.now
        self._base_boot = self.boot_seconds(now)
        self._base = now
        self.rate = rate

    def jump(self, seconds: float) -> None:
        """Move the wall clock by `seconds`, either way; the boot clock never jumps."""
        self._wall_offset_us += round(seconds * 1e6)

    def reboot(self) -> None:
        """Begin the boot clock at zero again; the wall clock (battery backed) goes on."""
        now = self._loop.now
        boot = self.boot_seconds(now)
        self._wall_offset_us += round(boot * 1e6)
        self._base_boot = 0.0
        self._base = now
