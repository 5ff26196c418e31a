"""What people see while a deployment runs: a live screen, plain lines, or JSON.

What it is: the choice among the three, and when something is shown. What it is not: what it
looks like (`holdfast.cli.screen`).

How to read it: `Show.tell` for events, `ready`, then `until`, which holds the live screen.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import deque
from typing import Any

from holdfast.ops import topology
from holdfast.ops.connection import Connection, how_to_connect
from holdfast.ops.happenings import Happening, Repeated
from holdfast.ops.model import Deployment
from holdfast.ops.picture import take

EVENTS_KEPT = 200
REFRESH_S = 1.0


class Show:
    """What people see: a live screen, plain lines, or JSON."""

    def __init__(self, deployment: Deployment, as_json: bool) -> None:
        self._connection: Connection = how_to_connect(deployment)
        self._as_json = as_json
        self._is_live = sys.stdout.isatty() and not as_json
        self._events: deque[Happening] = deque(maxlen=EVENTS_KEPT)
        self._repeated = Repeated()
        self._changed = asyncio.Event()
        self._live_screen: Any = None

    def tell(self, happening: Happening) -> None:
        """Show an event."""
        if not self._repeated.is_news(happening):
            return
        self._events.append(happening)
        self._changed.set()
        if self._live_screen is None:
            from holdfast.cli.screen import plain

            self._print(
                plain(happening),
                event={"at": round(happening.at, 3), "source": happening.source, "text": happening.text},
            )

    def ready(self, seconds: float) -> None:
        """Say that clients can come."""
        from holdfast.cli.screen import connect_plain

        if not self._is_live:
            self._print(f"Ready after {seconds:.1f} s.\n{connect_plain(self._connection)}", ready=seconds)
        self._events.append(Happening(time.time(), "holdfast", f"ready after {seconds:.1f} s"))

    def say(self, sentence: str) -> None:
        """Say something that no process did."""
        self.tell(Happening(time.time(), "holdfast", sentence))

    def stopping(self) -> None:
        """Leave the live screen."""
        if self._live_screen is not None:
            self._live_screen.stop()
            self._live_screen = None

    async def until(self, stop_wanted: asyncio.Event, there: topology.Topology) -> None:
        """Show until it is to stop."""
        if not self._is_live:
            await stop_wanted.wait()
            return
        from rich.live import Live

        from holdfast.cli.screen import whole

        ending = asyncio.create_task(stop_wanted.wait())
        picture = await take(there)
        self._live_screen = Live(screen=True, auto_refresh=False, transient=False)
        self._live_screen.start()
        console = self._live_screen.console
        note = "Ctrl-C stops all in order; `holdfast drill` in another terminal breaks something on purpose"
        while not stop_wanted.is_set():
            screen = whole(picture, list(self._events), self._connection, note, console.width, console.height)
            self._live_screen.update(screen, refresh=True)
            self._changed.clear()
            changed = asyncio.create_task(self._changed.wait())
            await asyncio.wait((ending, changed), timeout=REFRESH_S, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            picture = await take(there)

    def _print(self, text: str, **fields: object) -> None:
        if self._as_json:
            connection = {"url": self._connection.url, "command": self._connection.command}
            text = json.dumps({**fields, **(connection if "ready" in fields else {})})
        with contextlib.suppress(BrokenPipeError):
            print(text, flush=True)
