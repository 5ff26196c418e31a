"""Whether what is appended reaches the disk: what was seen, logged, and said to clients.

What it is: the present state by the table of `aof_policy`, with the last error. What it
is not: when a write is tried again (`aof_policy`), or replies that wait (`disk_trouble`).

How to read it: `happened` and `failed`, then what clients are told.
"""

from __future__ import annotations

import os

from holdfast.persistence.aof_directory import Log
from holdfast.persistence.aof_policy import HEALTH, LOG_INTERVAL_MS, Event, Health


class AofHealth:
    """The health of one AOF. Times in milliseconds."""

    def __init__(self, log: Log) -> None:
        """All is well."""
        self.state = Health.OK
        self.errno = 0
        """The last error."""
        self.failed_at_ms = -1
        """When that was, -1 when all is well."""
        self._logged_ms = -1
        self._log = log

    def happened(self, event: Event) -> None:
        """Note that a step went well, or how it went on after it did not."""
        before, self.state = self.state, HEALTH[self.state, event]
        if self.state is Health.OK and before is not Health.OK:
            self.failed_at_ms = self._logged_ms = -1
            self._log("notice", "AOF write error looks solved. The server can write again.")

    def failed(self, event: Event, error: OSError, text: str, now_ms: int) -> None:
        """Note that a step failed; `text` says which, for the log."""
        self.happened(event)
        self.failed_at_ms = now_ms
        self.errno = error.errno or 0
        if self._logged_ms < 0 or now_ms - self._logged_ms > LOG_INTERVAL_MS:
            self._logged_ms = now_ms
            self._log("warning", f"{text}: {error.strerror}")

    @property
    def misconf(self) -> str | None:
        """The error that writes get while the file cannot be written, without the leading minus."""
        if self.state is Health.OK:
            return None
        return f"MISCONF Errors writing to the AOF file: {os.strerror(self.errno)}"
