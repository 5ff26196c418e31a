"""A client behind one address: it writes key after key, and remembers what it was told.

What this is: the program of a client's host, for scenarios about doors to a group (a proxy, a virtual
address). What it is not: a drawn workload (`swarm.workload`), or a judge.

How to read it: `main` writes; `summary` says what came of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from holdfast.server.host import Host
from holdfast.sim.client import Client, ReplyError, connect
from holdfast.sim.nodes import PORT
from holdfast.sim.world import World

REPLY_SECONDS = 20.0
CONNECT_SECONDS = 1.0


class Writer:
    """One client. Each key is written once; a request that failed is not sent again."""

    def __init__(self, world: World, name: str, door: str, rate: float) -> None:
        """Make the client `name` that sends to `door`, a host's name or an address."""
        self.name = name
        self.stopping = False
        self.written: list[str] = []
        """Keys whose writing was acknowledged."""
        self.errors: Counter[str] = Counter()
        self.longest_wait_s = 0.0
        self._world, self._door, self._pause = world, door, 1 / rate

    async def main(self, host: Host) -> None:
        """Write until told to stop."""
        client: Client | None = None
        number = 0
        while not self.stopping:
            number += 1
            key, asked = f"{self.name}:{number}", self._world.now
            try:
                if client is None or client.is_closed:
                    client = await connect(self._door, PORT, within=CONNECT_SECONDS)
                reply = await client.ask("SET", key, number, within=REPLY_SECONDS)
            except (OSError, TimeoutError) as error:
                self.errors[type(error).__name__] += 1
                client = None
            else:
                if isinstance(reply, ReplyError):
                    self.errors[reply.code] += 1
                    client.close()  # as clients do: the next connection may lead elsewhere
                else:
                    self.written.append(key)
                self.longest_wait_s = max(self.longest_wait_s, self._world.now - asked)
            await asyncio.sleep(self._pause)
        if client is not None:
            client.close()

    def summary(self) -> str:
        """Return what came of it, in a line."""
        failed = ", ".join(f"{count} x {text}" for text, count in sorted(self.errors.items()))
        return (
            f"{len(self.written)} written, {failed or 'no error'}, longest wait {self.longest_wait_s:.2f} s"
        )
