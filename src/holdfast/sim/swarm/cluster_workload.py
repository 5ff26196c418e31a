"""Clients of a cluster that write keys all over the slots, and follow redirections.

What this is: the program of a client's host; each key is written once, and what the client was told
is kept in the history. What it is not: a judge (`cluster_checks`).
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from holdfast.cluster.slots import SLOTS
from holdfast.engine.slots import slot_of_key
from holdfast.server.host import Host
from holdfast.sim.client import Client, ReplyError, connect
from holdfast.sim.nodes import PORT
from holdfast.sim.swarm.history import Operation, Outcome
from holdfast.sim.swarm.workload import CERTAINLY_NOT, REPLY_SECONDS, Workload

REDIRECTED = ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN")
REDIRECTIONS_MOST = 3
SHARES = 3
"""For so many parts of the slots a client remembers who serves them."""


class ClusterWorkload(Workload):
    """One client."""

    async def main(self, host: Host) -> None:
        """Write until told to stop."""
        luck, clients, leaders = host.random, dict[str, Client](), dict[int, str]()
        while not self.stopping:
            await asyncio.sleep(self._pause * (0.5 + luck.random()))
            self._number += 1
            key = f"w:{self.name}:{self._number}"
            share = slot_of_key(key.encode()) * SHARES // SLOTS
            for _ in range(REDIRECTIONS_MOST):
                target = leaders.get(share) or luck.choice(list(self._nodes.settings))
                reply = await self._write(key, target, clients)
                leaders[share] = self._next(reply, target, luck)
                if not reply.startswith("MOVED"):
                    break
        for client in clients.values():
            client.close()

    async def _write(self, key: str, target: str, clients: dict[str, Client]) -> str:
        """Send one write; return the error, or nothing."""
        world = self._nodes.world
        operation = Operation(self.name, "write", key, key, world.now, node=target)
        reply: Any
        try:
            client = clients.get(target)
            if client is None or client.is_closed:
                client = clients[target] = await connect(target, PORT, within=REPLY_SECONDS)
            self._history.operations.append(operation)
            reply = await client.ask("SET", key, key, within=REPLY_SECONDS)
        except (OSError, TimeoutError) as error:
            operation.error, reply = type(error).__name__, None
        operation.ended = world.now
        if isinstance(reply, ReplyError):
            operation.error = str(reply)
            if reply.code in (*CERTAINLY_NOT, *REDIRECTED):
                operation.outcome = Outcome.REFUSED
        elif reply is not None:
            operation.outcome = Outcome.OK
        if operation.error and (client := clients.pop(target, None)) is not None:
            client.close()
        return operation.error

    def _next(self, reply: str, target: str, luck: random.Random) -> str:
        if not reply:
            return target
        if reply.startswith("MOVED"):
            return self._nodes.name_of(reply.split(" ")[2].rpartition(":")[0])
        return luck.choice(list(self._nodes.settings))
