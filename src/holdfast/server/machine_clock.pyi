"""The machine's clocks."""

class MachineClock:
    """The system's clocks; see `holdfast.server.host.Clock`."""

    def wall_us(self) -> int:
        """Return microseconds since 1970."""

    def boot_us(self) -> int:
        """Return microseconds of CLOCK_BOOTTIME (CLOCK_MONOTONIC where there is none)."""
