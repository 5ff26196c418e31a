"""One process: started or found again, watched by a descriptor of its own, signalled without mistaken pids.

What it is: `Child`, over a pidfd where the system has them, so that neither a signal nor the
news of an end can belong to another process that got the same number. What it is not: the
decision to start it again (`rules`, `supervisor`).

How to read it: `spawn` and `adopt` make one; `ended` is set when it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence

import holdfast

POLL_S = 0.05


def start_ticks(pid: int) -> int:
    """Return when a process began, in clock ticks since boot; 0 where that cannot be known."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


class Child:
    """A process that we watch."""

    def __init__(self, pid: int, process: subprocess.Popen[bytes] | None) -> None:
        self.pid, self.ticks = pid, start_ticks(pid)
        self._process = process
        self.ended = asyncio.Event()
        self.status: int | None = None
        """Exit status; negative: the signal that ended it; None: it runs, or was not ours to wait for."""
        self._loop = asyncio.get_running_loop()
        self._descriptor = -1
        self._polling: asyncio.Task[None] | None = None
        try:
            self._descriptor = os.pidfd_open(pid)
        except (AttributeError, OSError):
            self._polling = self._loop.create_task(self._poll())
        else:
            self._loop.add_reader(self._descriptor, self._gone)

    @staticmethod
    def spawn(words: Sequence[str], directory: str, log_path: str) -> Child:
        """Start a process in a session of its own, so that Ctrl-C reaches only us. Raises OSError."""
        with open(log_path, "ab") as log:
            process = subprocess.Popen(
                list(words),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_environment(),
            )
        return Child(process.pid, process)

    @staticmethod
    def adopt(pid: int, ticks: int) -> Child | None:
        """Take over a process that an earlier supervisor started; None: it is gone."""
        if not ticks or start_ticks(pid) != ticks:
            return None
        child = Child(pid, None)
        if child.ticks != ticks:
            child.forget()
            return None
        return child

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; False: it is gone already."""
        if self.ended.is_set():
            return False
        try:
            if self._descriptor >= 0:
                signal.pidfd_send_signal(self._descriptor, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    async def wait(self, limit_s: float) -> bool:
        """Wait for the end; False: it has not come in time."""
        try:
            async with asyncio.timeout(limit_s):
                await self.ended.wait()
        except TimeoutError:
            return False
        return True

    def forget(self) -> None:
        """Watch no more; the process goes on."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
        if self._polling is not None:
            self._polling.cancel()

    def _gone(self) -> None:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.status = self._process.wait(1.0)
        self.forget()
        self.ended.set()

    async def _poll(self) -> None:
        while True:
            if self._process is not None:
                if self._process.poll() is not None:
                    break
            else:
                try:
                    os.kill(self.pid, 0)
                except ProcessLookupError:
                    break
            await asyncio.sleep(POLL_S)
        self._polling = None
        self._gone()


def _environment() -> dict[str, str]:
    """Return ours, with which a Python of another working directory finds this very package."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(holdfast.__file__)))
    others = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each and each != package]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package, *others])}


def how_it_ended(status: int | None) -> str:
    """Return an exit status in words."""
    if status is None:
        return "ended"
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return "ended" if status == 0 else f"ended with status {status}"
