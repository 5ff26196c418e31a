"""The record of rewrites: which one runs, how the last one ended, and when the next is allowed.

Bookkeeping and decision, no file: the steps are taken by `aof_rewriter`, the rules
of growth and hold-back are `aof_policy`.

How to read it: `begun`, `ended`, `allowed`, then what INFO shows.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.persistence.aof_directory import Log
from holdfast.persistence.aof_policy import RewriteLimiter


@dataclass(frozen=True)
class RewriteTicket:
    """An order for a snapshot: write it to `path`, sync it, then hand the ticket back."""

    path: str
    rdb: bool
    started_ms: int


class RewriteRecord:
    """What is known of the rewrites of one AOF. Times in milliseconds."""

    def __init__(self, log: Log) -> None:
        self.running: RewriteTicket | None = None
        self.scheduled = False
        self.count = 0
        self.consecutive_failures = 0
        self.last_ok = True
        self.last_seconds = -1
        self.last_cow_bytes = 0
        self._limiter = RewriteLimiter()
        self._log = log

    def schedule(self) -> None:
        """Ask for one as soon as no other child runs; what failed before holds it back no more."""
        self.scheduled = True
        self.consecutive_failures = 0

    def begun(self, ticket: RewriteTicket) -> None:
        """Note that one runs."""
        self.running = ticket
        self.scheduled = False
        self.count += 1

    def not_begun(self) -> None:
        """Note that one could not start."""
        self.last_ok = False
        self.consecutive_failures += 1

    def ended(self, now_ms: int, *, ok: bool, cow_bytes: int = 0) -> None:
        """Note how the running one ended."""
        self._stopped(now_ms)
        self.last_ok = ok
        self.consecutive_failures = 0 if ok else self.consecutive_failures + 1
        if ok:
            self.last_cow_bytes = cow_bytes

    def called_off(self, now_ms: int) -> None:
        """Note that the running one was stopped on purpose: no failure."""
        self._stopped(now_ms)

    def _stopped(self, now_ms: int) -> None:
        assert self.running
        self.last_seconds = (now_ms - self.running.started_ms) // 1000
        self.running = None

    def allowed(self, now_ms: int) -> bool:
        """Tell whether failures hold the next one back no longer; asked only when one is wanted."""
        limiter, held_back = self._limiter.ask(self.consecutive_failures, now_ms)
        if held_back and limiter is not self._limiter:
            self._log(
                "warning",
                "Background AOF rewrite has repeatedly failed and triggered the limit, "
                f"will retry in {limiter.delay_minutes} minutes",
            )
        self._limiter = limiter
        return not held_back

    def fields(self, now_ms: int) -> dict[str, str | int]:
        """Return what INFO shows of rewrites, in its order."""
        running = self.running
        return {
            "aof_rewrite_in_progress": int(running is not None),
            "aof_rewrite_scheduled": int(self.scheduled),
            "aof_last_rewrite_time_sec": self.last_seconds,
            "aof_current_rewrite_time_sec": (now_ms - running.started_ms) // 1000 if running else -1,
            "aof_last_bgrewrite_status": "ok" if self.last_ok else "err",
            "aof_rewrites": self.count,
            "aof_rewrites_consecutive_failures": self.consecutive_failures,
        }
