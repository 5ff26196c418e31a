"""The clock of one host: it drifts and jumps."""

WALL_AT_START_US: int
"""Where the wall clocks stand when a world begins (a morning in June 2025)."""

class Running:
    """Whose code runs: until when it is inside a blocking call."""

    stalled_until: float

class Moment:
    """Where virtual time stands, and for whom."""

    now: float

class HostClock:
    """Clock of one host; see `holdfast.server.host.Clock`."""

    rate: float
    """Seconds of this clock in one virtual second."""

    def __init__(self, loop: Moment, boot_seconds: float = 0.0) -> None:
        """Make a clock that runs true and booted `boot_seconds` ago."""

    def boot_seconds(self, now: float) -> float:
        """Return what the boot clock shows at virtual time `now`, in seconds."""

    def boot_us(self) -> int:
        """Return microseconds of the boot clock, as the code that runs now sees it."""

    def wall_us(self) -> int:
        """Return microseconds since 1970, as the code that runs now sees it."""

    def drift(self, rate: float) -> None:
        """Run from now on at `rate` (1.0 is true, 1.1 a tenth too fast)."""

    def jump(self, seconds: float) -> None:
        """Move the wall clock by `seconds`, either way; the boot clock never jumps."""

    def reboot(self) -> None:
        """Begin the boot clock at zero again; the wall clock (battery backed) goes on."""
