"""Writers and readers that remember every answer.

What it is: clients without retries, each with numbers of its own. A writer sets a fresh key and
its register to the next number and notes sent, answered and what was said; a reader reads a
register and notes when it is older than what was acknowledged before the question was sent.
What it is not: a benchmark; they pause between requests.

How to read it: `Door` finds who serves, `Writer` and `Reader` go through it, `Workload` is all
of them; `count_lost` is asked at the end.

An answer is an acknowledgement only if it is OK. Errors that say that nothing was executed are
*refused*; all others, resets and time-outs have an *unknown* outcome, and are never repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from holdfast.ops.leadership import named_primary
from holdfast.ops.topology import Form, Topology
from holdfast.ops.wire import Address, Refused, Wire, WireError
from holdfast.sentinel.reply_reader import Reply, ReplyError

PAUSE_S = 0.002
LOOK_AGAIN_S = 0.005
DIRECT_TIMEOUT_S = 0.5
PROXY_TIMEOUT_S = 10.0
"""The stable port holds requests during a failover: that is patience of the client, not an error."""
KEYS_LIVE_S = 3600
CHECK_BATCH = 1000
NOT_EXECUTED = frozenset(
    (
        "READONLY",
        "LOADING",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "NOLEASE",
        "MOVED",
        "FENCED",
        "NOREPLICAS",
        "TRYAGAIN",
    )
)


class Door:
    """The way to the node that serves a key: the stable port, Sentinels, or redirections."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._hint: Address | None = None
        self._turn = 0
        self.timeout_s = PROXY_TIMEOUT_S if topology.proxies else DIRECT_TIMEOUT_S

    async def open(self) -> Wire:
        """Connect to whoever serves now. Raises `WireError` and `Refused`."""
        return await Wire.open(await self._where(), self._topology.password, self.timeout_s)

    def refused(self, error: str) -> None:
        """Learn from a redirection."""
        words = error.split()
        self._hint = Address.parse(words[2]) if words[0] == "MOVED" and len(words) > 2 else None

    async def _where(self) -> Address:
        topology = self._topology
        if topology.proxies:
            return topology.proxies[0][1]
        if topology.form is Form.SENTINEL:
            named = await named_primary(topology.sentinel_addresses, topology.group, topology.password)
            if named is None:
                raise WireError("no majority of the Sentinels names a primary")
            return named
        if self._hint is not None:
            hint, self._hint = self._hint, None
            return hint
        self._turn += 1
        return topology.data[self._turn % len(topology.data)][1]


class Outcome(Enum):
    """What became of a request."""

    OK = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Write:
    """A request and its answer; times in seconds since 1970."""

    number: int
    sent: float
    answered: float
    outcome: Outcome


@dataclass(slots=True)
class Record:
    """What all clients have seen so far."""

    errors: Counter[str] = field(default_factory=Counter)

    def note(self, error: object) -> None:
        """Count an error by its first words."""
        self.errors[" ".join(str(error).split()[:6])[:60] or type(error).__name__] += 1


class Client:
    """A connection that comes back."""

    def __init__(self, topology: Topology, record: Record) -> None:
        self._door, self._record = Door(topology), record
        self._wire: Wire | None = None
        self.is_stopped = False

    async def exchange(self, *commands: tuple[object, ...]) -> list[Reply] | None:
        """Send commands, connecting first if need be; None: the outcome is unknown."""
        await self.wait_for_connection()
        if self._wire is None:
            return None
        try:
            replies = await self._wire.pipeline(commands)
        except WireError as error:
            self._record.note(error)
            self.leave()
            return None
        for each in replies:
            if isinstance(each, ReplyError):
                self._record.note(each)
                self._door.refused(each)
                self.leave()
                break
        return replies

    def leave(self) -> None:
        """Look for the serving node again, next time."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def wait_for_connection(self) -> None:
        """Connect before the clock of a request starts."""
        while self._wire is None and not self.is_stopped:
            try:
                self._wire = await self._door.open()
            except (WireError, Refused) as error:
                self._record.note(error)
                await asyncio.sleep(LOOK_AGAIN_S)


class Writer(Client):
    """Writes numbers."""

    def __init__(self, topology: Topology, record: Record, name: str) -> None:
        super().__init__(topology, record)
        self.name = name
        self.writes: list[Write] = []
        self.acknowledged = 0
        """The highest number that was answered OK."""

    @property
    def register(self) -> str:
        """The key that holds the last number."""
        return f"drill:{{{self.name}}}"

    def key(self, number: int) -> str:
        """The key of one number, in the same slot."""
        return f"drill:{{{self.name}}}:{number}"

    async def run(self) -> None:
        """Write until stopped."""
        number = 0
        while not self.is_stopped:
            await self.wait_for_connection()
            number += 1
            sent = time.time()
            replies = await self.exchange(
                ("SET", self.key(number), number, "EX", KEYS_LIVE_S),
                ("SET", self.register, number, "EX", KEYS_LIVE_S),
            )
            outcome = _outcome(replies)
            self.writes.append(Write(number, sent, time.time(), outcome))
            if outcome is Outcome.OK:
                self.acknowledged = number
                await asyncio.sleep(PAUSE_S)
            elif outcome is Outcome.REFUSED:
                await asyncio.sleep(LOOK_AGAIN_S)


def _outcome(replies: list[Reply] | None) -> Outcome:
    if replies is None:
        return Outcome.UNKNOWN
    errors = [each for each in replies if isinstance(each, ReplyError)]
    if not errors:
        return Outcome.OK
    executed_none = len(errors) == len(replies) and all(_says_not_executed(each) for each in errors)
    return Outcome.REFUSED if executed_none else Outcome.UNKNOWN


def _says_not_executed(error: str) -> bool:
    return error.split()[0] in NOT_EXECUTED


class Reader(Client):
    """Reads registers, and counts answers that are older than an acknowledgement."""

    def __init__(self, topology: Topology, record: Record, writer: Writer) -> None:
        super().__init__(topology, record)
        self._writer = writer
        self.reads = 0
        self.stale: list[float] = []
        """When such an answer came."""

    async def run(self) -> None:
        """Read until stopped."""
        while not self.is_stopped:
            await self.wait_for_connection()
            least = self._writer.acknowledged
            replies = await self.exchange(("GET", self._writer.register))
            if replies is not None and not isinstance(replies[0], ReplyError):
                self.reads += 1
                if int(str(replies[0] or 0)) < least:
                    self.stale.append(time.time())
            await asyncio.sleep(PAUSE_S)


class Workload:
    """All clients of a drill."""

    def __init__(self, topology: Topology, run: str, writers: int, readers: int) -> None:
        self._topology = topology
        self.record = Record()
        self.writers = [Writer(topology, self.record, f"{run}-{number}") for number in range(writers)]
        self.readers = [
            Reader(topology, self.record, self.writers[number % writers]) for number in range(readers)
        ]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_running(self) -> bool:
        """Whether it was started."""
        return bool(self._tasks)

    def start(self) -> None:
        """Begin to write and read."""
        runs = [*(each.run() for each in self.writers), *(each.run() for each in self.readers)]
        self._tasks = [asyncio.create_task(each) for each in runs]

    async def stop(self) -> None:
        """End all; a request under way is answered first."""
        clients: list[Client] = [*self.writers, *self.readers]
        for each in clients:
            each.is_stopped = True
        await asyncio.wait(self._tasks, timeout=PROXY_TIMEOUT_S + 1)
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        for each in clients:
            each.leave()

    def all_write(self, at_least: int, since: float) -> bool:
        """Tell whether every writer has been answered OK so often since a time."""
        return all(
            sum(each.outcome is Outcome.OK and each.sent >= since for each in writer.writes[-at_least * 2 :])
            >= at_least
            for writer in self.writers
        )

    async def count_lost(self) -> tuple[int, list[str]]:
        """Return how many acknowledged writes are not there, and some of their keys; raise `WireError`."""
        lost: list[str] = []
        for writer in self.writers:
            good = [each.number for each in writer.writes if each.outcome is Outcome.OK]
            for place in range(0, len(good), CHECK_BATCH):
                part = good[place : place + CHECK_BATCH]
                replies = await self._ask(writer, [("GET", writer.key(each)) for each in part])
                lost += [
                    writer.key(number)
                    for number, reply in zip(part, replies, strict=True)
                    if str(reply) != str(number)
                ]
        return len(lost), lost[:10]

    async def clean(self) -> None:
        """Remove the keys; what cannot be reached expires by itself."""
        for writer in self.writers:
            keys = [writer.register, *(writer.key(each.number) for each in writer.writes)]
            with contextlib.suppress(WireError):
                for place in range(0, len(keys), CHECK_BATCH):
                    await self._ask(writer, [("UNLINK", key) for key in keys[place : place + CHECK_BATCH]])

    async def _ask(self, writer: Writer, commands: list[tuple[object, ...]]) -> list[Reply]:
        client = Client(self._topology, Record())
        deadline = time.time() + PROXY_TIMEOUT_S
        try:
            while time.time() < deadline:
                replies = await client.exchange(*commands)
                if replies is not None and not any(isinstance(each, ReplyError) for each in replies):
                    return replies
                await asyncio.sleep(LOOK_AGAIN_S)
        finally:
            client.leave()
        raise WireError(f"the writes of {writer.name} could not be looked for")
