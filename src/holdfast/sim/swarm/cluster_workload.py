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
from holdfast.sim.swarm.slot_mover import TAGS
from holdfast.sim.swarm.workload import CERTAINLY_NOT, REPLY_SECONDS, Workload

REDIRECTED = ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN")
REDIRECTIONS_MOST = 3
SHARES = 3
"""For so many parts of the slots a client remembers who serves them."""


class ClusterWorkload(Workload):
    """One client."""

    tags: tuple[str, ...] = ()
    """Where slots move, the tags of those that `slot_mover` moves: keys stand there."""

    async def main(self, host: Host) -> None:
        """Write until told to stop."""
        luck, clients, leaders = host.random, dict[str, Client](), dict[int, str]()
        while not self.stopping:
            await asyncio.sleep(self._pause * (0.5 + luck.random()))
            self._number += 1
            key = f"w:{self.name}:{self._number}"
            if self.tags:
                key = f"{{{luck.choice(self.tags)}}}{key}"
            slot = slot_of_key(key.encode())
            share = slot if self.tags else slot * SHARES // SLOTS
            asked = ""
            for _ in range(REDIRECTIONS_MOST):
                target = asked or leaders.get(share) or luck.choice(list(self._nodes.settings))
                reply = await self._write(key, target, clients, is_asked=bool(asked))
                asked = self._named(reply) if reply.startswith("ASK ") else ""
                if not asked:
                    leaders[share] = self._next(reply, target, luck)
                if not reply.startswith(("MOVED", "ASK ")):
                    break
        for client in clients.values():
            client.close()

    async def _write(
        self, key: str, target: str, clients: dict[str, Client], *, is_asked: bool = False
    ) -> str:
        """Send one write; return the error, or nothing."""
        world = self._nodes.world
        operation = Operation(self.name, "write", key, key, world.now, node=target)
        reply: Any
        try:
            client = clients.get(target)
            if client is None or client.is_closed:
                client = clients[target] = await connect(target, PORT, within=REPLY_SECONDS)
            self._history.operations.append(operation)
            asking: list[tuple[object, ...]] = [("ASKING",)] if is_asked else []
            reply = (await client.ask_all([*asking, ("SET", key, key)], within=REPLY_SECONDS))[-1]
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
            return self._named(reply)
        return luck.choice(list(self._nodes.settings))

    def _named(self, reply: str) -> str:
        """Return the host that a redirection names."""
        return self._nodes.name_of(reply.split(" ")[2].rpartition(":")[0])


def where_slots_move(count: int) -> type[ClusterWorkload]:
    """Return clients that write to the slots of the first tags."""

    class OnTheMove(ClusterWorkload):
        tags = TAGS[:count]

    return OnTheMove
