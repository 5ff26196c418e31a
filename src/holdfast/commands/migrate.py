"""MIGRATE: move keys to another server (https://redis.io/commands/migrate/).

Unlike in Redis nobody else waits: the session is parked while the payloads
travel. What is moved is what the key held when MIGRATE was read; a key that is
changed while it travels would lose that change, so it is sent again before it
is deleted here (up to three times, then -IOERR). Whether a small one has changed is seen by its payload; a
large one is watched, for to make its payload again holds up everybody. In a cluster the next write may
already go to the other node, where an older copy must not come after it: there
writes to the slot wait until the keys have arrived.

Connections are kept for ten seconds of idleness, sixteen at most.

How to read it: `migrate` parses and parks; `Migration.run` is what happens
meanwhile; `Targets` keeps the connections.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from holdfast.commands.dump import begin_watch, bytes_of, end_watch, forget_key, payload_of
from holdfast.commands.parked import answer, waits_for
from holdfast.commands.spec import KeySpec, Spec
from holdfast.engine.blocking import park_session, unpark_session
from holdfast.engine.registry import add_function
from holdfast.engine.slots import begin_transit, end_transit, slot_of_key
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import NO_REPLY, OK, CommandError, Status

IDLE_S = 10
TARGETS_MOST = 16
CHUNK_BYTES = 64 * 1024
ATTEMPTS = 3
WATCHED_BYTES = 64 * 1024
"""Payloads from this size on are not compared but watched."""
DENY_BLOCKING = 1 << 13
"""S_DENY_BLOCKING of engine/state.pxd."""
SYNTAX = "ERR syntax error"
NOT_INTEGER = "ERR value is not an integer or out of range"
CANNOT_CONNECT = "IOERR error or timeout connecting to the client"


def register(engine: Engine) -> None:
    """Declare the family."""
    spec = Spec(
        "migrate", -6, "write movablekeys", (3, 3, 1), "generic", "2.6.0", "Move keys to another server.",
        "O(N) in the size of the values, at both ends", "dangerous",
        (KeySpec("RW access delete", 3),
         KeySpec("RW access delete incomplete", "KEYS", -2, last=-1)),
        tips=("nondeterministic_output",),
    )  # fmt: skip
    add_function(engine, spec, migrate)


@dataclass
class Order:
    """A parsed request."""

    host: str
    port: int
    keys: list[bytes]
    database: int
    timeout_s: float
    copy: bool = False
    replace: bool = False
    login: list[bytes] = field(default_factory=list)


@dataclass
class Target:
    """An open connection to another server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    database: int = -1
    closing: asyncio.TimerHandle | None = None


class TargetError(Exception):
    """The other server refused; its words."""


class Targets:
    """Idle connections, by host and port."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int], Target] = {}

    async def take(self, host: str, port: int, timeout_s: float) -> tuple[Target, bool]:
        """Return a connection and whether it was used before."""
        target = self._idle.pop((host, port), None)
        if target is not None:
            assert target.closing is not None
            target.closing.cancel()
            if not target.reader.at_eof():
                return target, True
            target.writer.close()
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), timeout_s)
        return Target(reader, writer), False

    def give_back(self, host: str, port: int, target: Target) -> None:
        """Keep a sound connection for the next time."""
        self.drop(self._idle.pop((host, port), None))
        if len(self._idle) >= TARGETS_MOST:
            self.drop(self._idle.pop(next(iter(self._idle))))
        self._idle[host, port] = target
        target.closing = asyncio.get_running_loop().call_later(IDLE_S, self._expire, host, port, target)

    def _expire(self, host: str, port: int, target: Target) -> None:
        if self._idle.get((host, port)) is target:
            self.drop(self._idle.pop((host, port)))

    def drop(self, target: Target | None) -> None:
        """Close a connection."""
        if target is not None:
            if target.closing is not None:
                target.closing.cancel()
            target.writer.close()

    def close(self) -> None:
        """Close all (the node stops)."""
        for target in self._idle.values():
            self.drop(target)
        self._idle.clear()


def migrate(session: Any, args: list[bytes]) -> object:
    """Parse, see what is there, and park the session until the keys have moved."""
    order = parse(args)
    order.keys = [key for key in order.keys if bytes_of(session, key) is not None]
    if not order.keys:
        return Status("NOKEY")
    if session.flags & DENY_BLOCKING:
        raise CommandError("ERR MIGRATE is not supported inside a transaction or script")
    node = session.engine.node
    if not hasattr(node, "migrate_targets"):
        node.migrate_targets = Targets()
    migration = Migration(session, order, node.migrate_targets)
    park_session(session, migration, 0, migration.called_off)
    node.migrations = {task for task in getattr(node, "migrations", ()) if not task.done()}
    node.migrations.add(asyncio.get_running_loop().create_task(migration.run()))
    return NO_REPLY


def parse(args: list[bytes]) -> Order:
    """Read the request; CommandError."""
    keys, login, copy, replace = [args[3]], [], False, False
    at = 6
    while at < len(args):
        word, more = args[at].upper(), len(args) - at - 1
        if word == b"COPY":
            copy = True
        elif word == b"REPLACE":
            replace = True
        elif word == b"AUTH" and more:
            login = [args[at + 1]]
            at += 1
        elif word == b"AUTH2" and more >= 2:
            login = args[at + 1 : at + 3]
            at += 2
        elif word == b"KEYS":
            if args[3]:
                raise CommandError(
                    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"
                )
            keys = args[at + 1 :]
            break
        else:
            raise CommandError(SYNTAX)
        at += 1
    timeout_ms, database = _integer(args[5]), _integer(args[4])
    host = args[1].decode("utf-8", "surrogateescape")
    port = args[2].decode("utf-8", "surrogateescape")
    timeout_s = (timeout_ms if timeout_ms > 0 else 1000) / 1000
    number = int(port) if port.isascii() and port.isdigit() else 0
    return Order(host, number, list(dict.fromkeys(keys)), database, timeout_s, copy, replace, login)


def _integer(text: bytes) -> int:
    digits = text.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 19:
        raise CommandError(NOT_INTEGER)
    return int(text)


class Migration:
    """One MIGRATE under way."""

    def __init__(self, session: Any, order: Order, targets: Targets) -> None:
        self.session, self.order, self.targets = session, order, targets
        self.database: int = session.database
        self.held = self._hold_writes()
        """Slots whose writes wait until this is over."""
        self._watched: dict[bytes, Session] = {}
        """Large keys that are on their way, and who watches them."""

    async def run(self) -> None:
        """Move the keys, answer, and let the session go on."""
        engine = self.session.engine
        try:
            reply: object = await self._move()
        except TargetError as error:
            reply = CommandError(f"ERR Target instance replied with error: {error}")
        except _NoConnection:
            reply = CommandError(CANNOT_CONNECT)
        except TimeoutError:
            reply = CommandError("IOERR error or timeout reading to target instance")
        except (OSError, EOFError):
            reply = CommandError("IOERR error or timeout writing to target instance")
        finally:
            if not engine.tick_open:
                engine.open_tick()
            self._end_watches()
            for slot in self.held:
                end_transit(engine, slot)
        if waits_for(self.session, self):
            answer(self.session, reply)
            unpark_session(self.session)

    def _hold_writes(self) -> set[int]:
        """In a cluster, let writes to the keys' slots wait; return the slots."""
        engine = self.session.engine
        if self.order.copy or not engine.node.configuration["cluster-enabled"]:
            return set()
        held = {slot_of_key(key) for key in self.order.keys}
        for slot in held:
            begin_transit(engine, slot)
        return held

    def called_off(self, session: Any) -> None:
        """Answer a client that was told to wait no longer; the keys travel on."""
        answer(session, CommandError("IOERR the wait for MIGRATE was ended; it goes on"))

    async def _move(self) -> object:
        """Send every key; delete those that arrived, unless they changed meanwhile."""
        pending = self.order.keys
        for attempt in range(ATTEMPTS):
            sent = self._payloads(pending)
            if not sent:
                break
            await self._send_once_more_if_stale(sent, replace=self.order.replace or attempt > 0)
            if self.order.copy:
                break
            if not self.session.engine.tick_open:
                self.session.engine.open_tick()
            pending = [key for key, (payload, _) in sent.items() if not self._forget(key, payload)]
        else:
            return CommandError("IOERR keys changed while they travelled; they are at both ends now")
        return OK

    def _payloads(self, keys: list[bytes]) -> dict[bytes, tuple[bytes, int]]:
        found = {}
        self._end_watches()
        for key in keys:
            value = payload_of(self.session, key)
            if value is not None:
                found[key] = value
                if len(value[0]) >= WATCHED_BYTES:
                    watcher = self._watched[key] = Session(self.session.engine)
                    begin_watch(watcher, self.session, key)
        return found

    def _end_watches(self) -> None:
        for watcher in self._watched.values():
            end_watch(watcher)
        self._watched.clear()

    def _forget(self, key: bytes, payload: bytes) -> bool:
        """Delete a key that arrived; False: it is another by now."""
        watcher = self._watched.pop(key, None)
        if watcher is not None and end_watch(watcher):
            forget_key(self.session, self.database, key)
            return True
        now = payload_of(self.session, key)
        if now is None:
            return True
        if now[0] != payload:
            return False
        forget_key(self.session, self.database, key)
        return True

    async def _send_once_more_if_stale(self, sent: dict[bytes, tuple[bytes, int]], *, replace: bool) -> None:
        """A connection that was kept may be dead: then nothing was done, and a fresh one is tried."""
        while True:
            order = self.order
            try:
                target, used = await self.targets.take(order.host, order.port, order.timeout_s)
            except (OSError, TimeoutError, OverflowError) as error:
                raise _NoConnection from error
            try:
                async with asyncio.timeout(order.timeout_s):
                    await self._send(target, sent, replace=replace)
            except TargetError:
                target.database = -1
                self.targets.give_back(order.host, order.port, target)
                raise
            except (OSError, EOFError):
                self.targets.drop(target)
                if used:
                    continue
                raise
            except BaseException:
                self.targets.drop(target)
                raise
            self.targets.give_back(order.host, order.port, target)
            return

    async def _send(self, target: Target, sent: dict[bytes, tuple[bytes, int]], *, replace: bool) -> None:
        order, engine = self.order, self.session.engine
        requests = []
        if order.login:
            requests.append(encode(b"AUTH", *order.login))
        if target.database != order.database:
            requests.append(encode(b"SELECT", b"%d" % order.database))
        before_keys = len(requests)
        name = b"RESTORE-ASKING" if engine.node.configuration["cluster-enabled"] else b"RESTORE"
        for key, (payload, at_ms) in sent.items():
            ttl_ms = max(at_ms - engine.now_ms, 1) if at_ms >= 0 else 0
            requests.append(encode(name, key, b"%d" % ttl_ms, payload, *((b"REPLACE",) if replace else ())))
        stream = b"".join(requests)
        for start in range(0, len(stream), CHUNK_BYTES):
            target.writer.write(stream[start : start + CHUNK_BYTES])
            await target.writer.drain()
        refusal, arrived = "", []
        keys = list(sent)
        for number in range(len(requests)):
            line = await target.reader.readline()
            if not line.endswith(b"\n"):
                raise EOFError
            if line.startswith(b"-"):
                refusal = refusal or line[1:].rstrip().decode("utf-8", "surrogateescape")
            elif number >= before_keys and not refusal:
                arrived.append(keys[number - before_keys])
        if refusal:
            if not order.copy:
                if not engine.tick_open:
                    engine.open_tick()
                for key in arrived:
                    self._forget(key, sent[key][0])
            raise TargetError(refusal)
        target.database = order.database


class _NoConnection(Exception):
    """The other server cannot be reached."""


def encode(*words: bytes) -> bytes:
    """Return a command as RESP."""
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"".join(parts)
