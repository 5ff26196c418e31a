"""notification-script and client-reconfig-script: a queue with retries, as Redis has it.

What it is: when which script is run, and what its end means. What it is not: running;
that goes through `Runner`, so that a test or the simulator can stand in for processes.

How to read it: `ScriptQueue.add`, `look` (starts what is due, ends what hangs), `ended`.
Exit 0 is success, 1 and death by a signal are tried again, everything else is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from holdfast.sentinel.settings import Times

QUEUE_MAX = 256
RUNNING_MAX = 16
RETRIES_MAX = 10


@dataclass(slots=True, eq=False)
class Job:
    """One script that waits or runs."""

    words: tuple[str, ...]
    tries: int = 0
    start_ms: int = 0
    """When it was started, or, while it waits, when it may start."""
    pid: int = 0
    is_running: bool = False
    is_killed: bool = False


class Runner(Protocol):
    """Runs scripts."""

    def may_run(self, path: str) -> bool:
        """Tell whether a file may be run."""
        ...

    def start(self, words: tuple[str, ...], ended: Callable[[int, int], None]) -> int:
        """Start a script, return its pid; `ended(exit code, signal)` is called at its end. Raises OSError."""
        ...

    def kill(self, pid: int) -> None:
        """End a script that hangs."""
        ...


Tell = Callable[[str, str, str], None]
"""Takes event, text and level."""


class ScriptQueue:
    """The scripts of one Sentinel."""

    def __init__(self, runner: Runner, times: Times, tell: Tell, now_ms: Callable[[], int]) -> None:
        self._runner, self._times, self._tell, self._now_ms = runner, times, tell, now_ms
        self.jobs: list[Job] = []

    @property
    def running(self) -> int:
        """How many run now."""
        return sum(each.is_running for each in self.jobs)

    def add(self, words: tuple[str, ...]) -> None:
        """Queue a script; the oldest that waits gives way when there are too many."""
        self.jobs.append(Job(words))
        if len(self.jobs) > QUEUE_MAX:
            oldest = next((each for each in self.jobs if not each.is_running), None)
            if oldest is not None:
                self.jobs.remove(oldest)

    def look(self, now_ms: int) -> None:
        """Start what is due; end what runs too long."""
        for job in list(self.jobs):
            if job.is_running:
                if now_ms - job.start_ms > self._times.script_max_runtime and not job.is_killed:
                    job.is_killed = True
                    self._tell("-script-timeout", f"{job.words[0]} {job.pid}", "warning")
                    self._runner.kill(job.pid)
            elif job.start_ms <= now_ms and self.running < RUNNING_MAX:
                self._start(job, now_ms)

    def _start(self, job: Job, now_ms: int) -> None:
        job.tries += 1
        job.start_ms = now_ms
        try:
            job.pid = self._runner.start(job.words, lambda code, signal: self.ended(job, code, signal))
        except OSError:
            self._tell("-script-error", f"{job.words[0]} 99 0", "warning")
            self.jobs.remove(job)
            return
        job.is_running = True
        self._tell("+script-child", str(job.pid), "debug")

    def ended(self, job: Job, code: int, signal: int) -> None:
        """Note the end of a script."""
        self._tell("-script-child", f"{job.pid} {code} {signal}", "debug")
        job.is_running = job.is_killed = False
        job.pid = 0
        if (signal or code == 1) and job.tries < RETRIES_MAX:
            job.start_ms = self._now_ms() + (self._times.script_retry_delay << (job.tries - 1))
            return
        if signal or code:
            self._tell("-script-error", f"{job.words[0]} {signal} {code}", "warning")
        if job in self.jobs:
            self.jobs.remove(job)
