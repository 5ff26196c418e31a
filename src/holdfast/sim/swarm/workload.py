"""Clients that write, read and note what they were told.

What this is: the program of a client's host. It keeps a connection to where it believes
the primary to be, sends one request at a time, and records each with what it then knows.

What this is not: a judge (`checks`).

How to read it: `Workload` draws and sends; `KINDS` are the requests and how often they come.
Keys say what they are for: `w:` written once and never again, `x:` and `y:` written
together in a MULTI, `r:` registers, `n:` counters, others for variety; what is written to
`e:` may expire.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect
from itertools import accumulate
from typing import Any

from holdfast.server.host import Host
from holdfast.sim.client import Client, ReplyError, connect
from holdfast.sim.nodes import PORT, Nodes
from holdfast.sim.sentinels import GROUP, SENTINEL_PORT
from holdfast.sim.swarm.history import History, Operation, Outcome

KINDS = (("write", 36), ("pair", 10), ("set", 14), ("get", 16), ("incr", 6), ("other", 18))
REGISTERS = 3
CERTAINLY_NOT = (
    "READONLY",
    "FENCED",
    "NOREPLICAS",
    "MISCONF",
    "LOADING",
    "MASTERDOWN",
    "EXECABORT",
    "OOM",
    "NOLEASE",
)
REPLY_SECONDS = 1.2
SEEK_LIKELIHOOD = 0.08
"""How often a client that lost its connection asks some node, not the one it was told of."""


class Workload:
    """One client."""

    def __init__(self, name: str, nodes: Nodes, history: History, rate: float) -> None:
        """Make the client `name` that sends `rate` requests a second."""
        self.name = name
        self.stopping = False
        self._nodes = nodes
        self._history = history
        self._pause = 1 / rate
        self._number = 0
        self._client: Client | None = None
        self._node = ""

    async def main(self, host: Host) -> None:
        """Send until told to stop."""
        luck = host.random
        kinds = [kind for kind, _ in KINDS]
        weights = list(accumulate(weight for _, weight in KINDS))
        while not self.stopping:
            await asyncio.sleep(self._pause * (0.5 + luck.random()))
            kind = kinds[bisect(weights, luck.random() * weights[-1])]
            self._number += 1
            commands, operation = self._drawn(kind, luck)
            await self._send(commands, operation, luck)
        if self._client is not None:
            self._client.close()

    def _drawn(self, kind: str, luck: random.Random) -> tuple[list[tuple[object, ...]], Operation]:
        tag = f"{self.name}:{self._number}"
        key, value = tag, tag
        commands: list[tuple[object, ...]]
        match kind:
            case "write":
                key = f"w:{tag}"
                commands = [("SET", key, value)]
            case "pair":
                commands = [("MULTI",), ("SET", f"x:{tag}", value), ("SET", f"y:{tag}", value), ("EXEC",)]
            case "set":
                key = f"r:{luck.randrange(REGISTERS)}"
                commands = [("SET", key, value)]
            case "get":
                key = f"r:{luck.randrange(REGISTERS)}"
                commands = [("GET", key)]
            case "incr":
                key = "n:0"
                commands = [("INCR", key)]
            case _:
                commands = [drawn_command(tag, luck)]
        return commands, Operation(self.name, kind, key, value, 0.0)

    async def _send(
        self, commands: list[tuple[object, ...]], operation: Operation, luck: random.Random
    ) -> None:
        world = self._nodes.world
        client = self._client
        if client is None or client.is_closed:
            client = await self._connected(luck)
            if client is None:
                return
        operation.began = world.now
        operation.node = self._node
        was_replica = self._asks_a_replica()
        self._history.operations.append(operation)
        try:
            replies = await client.ask_all(commands, within=REPLY_SECONDS)
        except (OSError, TimeoutError) as error:
            operation.error = type(error).__name__
            self._leave()
        else:
            self._judge(operation, replies[-1])
        if kind_is_stale(operation, was_replica or self._asks_a_replica()):
            operation.kind = "replica get"
        operation.ended = world.now

    def _asks_a_replica(self) -> bool:
        node = self._nodes.latest.get(self._node)
        return node is not None and node.replication.is_replica

    async def _connected(self, luck: random.Random) -> Client | None:
        names = list(self._nodes.settings)
        lost = luck.random() < SEEK_LIKELIHOOD
        try:
            told = await self._told(luck) if self._history.sentinels else self._history.primary
            self._node = luck.choice(names) if lost or not told else told
            self._client = await connect(self._node, PORT, within=REPLY_SECONDS)
        except (OSError, TimeoutError):
            self._client = None
            await asyncio.sleep(0.1)
        return self._client

    async def _told(self, luck: random.Random) -> str:
        """Ask some Sentinel for the primary; empty: it names none of the nodes. OSError, TimeoutError."""
        client = await connect(luck.choice(self._history.sentinels), SENTINEL_PORT, within=REPLY_SECONDS)
        try:
            words = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", GROUP)
            reply = await client.ask(*words, within=REPLY_SECONDS)
        finally:
            client.close()
        name = self._nodes.name_of(reply[0].decode()) if isinstance(reply, list) else ""
        return name if name in self._nodes.settings else ""

    def _judge(self, operation: Operation, reply: Any) -> None:
        if not isinstance(reply, ReplyError):
            operation.outcome = Outcome.OK
            node = self._nodes.latest.get(self._node)
            operation.epoch = node.replication.standing.node.state.term_epoch if node is not None else 0
            if operation.kind == "get":
                operation.value = None if reply is None else reply.decode()
            elif operation.kind == "incr":
                operation.value = str(reply)
            return
        operation.error = str(reply)
        if reply.code in CERTAINLY_NOT:
            operation.outcome = Outcome.REFUSED
        self._leave()

    def _leave(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def kind_is_stale(operation: Operation, of_replica: bool) -> bool:
    """Tell whether a read was answered by a replica, which promises nothing of its age."""
    return operation.kind == "get" and of_replica


def drawn_command(tag: str, luck: random.Random) -> tuple[object, ...]:
    """Return a command that changes something in a way that replicas must follow exactly."""
    place = luck.randrange(4)
    choices: tuple[tuple[object, ...], ...] = (
        ("RPUSH", f"l:{place}", tag, tag),
        ("LPOP", f"l:{place}"),
        ("LMOVE", f"l:{place}", "l:0", "LEFT", "RIGHT"),
        ("HSET", f"h:{place}", tag, "1"),
        ("HINCRBYFLOAT", f"h:{place}", "sum", "0.1"),
        ("SADD", f"s:{place}", tag, place),
        ("SPOP", f"s:{place}"),
        ("ZADD", f"z:{place}", place, tag),
        ("ZPOPMIN", f"z:{place}"),
        ("INCRBYFLOAT", f"f:{place}", "0.25"),
        ("APPEND", f"a:{place}", "+"),
        ("SET", f"e:{tag}", "soon", "PX", luck.randrange(200, 5000)),
        ("SET", f"e:{tag}", "late", "EX", 1800),
        ("GETEX", f"e:{tag_before(tag)}", "EX", 900),
        ("SETRANGE", f"a:{place}", luck.randrange(20), "range"),
        ("DEL", f"l:{place}", f"h:{place}"),
    )
    return luck.choice(choices)


def tag_before(tag: str) -> str:
    """Return the tag of the request before this one."""
    name, _, number = tag.partition(":")
    return f"{name}:{int(number) - 1}"
