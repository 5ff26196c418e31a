"""Follows a primary as a replica does, to learn which keys change while they are copied.

What it is: the replica's side of PSYNC (https://redis.io/docs/management/replication/) as far
as this needs it: the stream is read for the *names* of keys, and each key that was named is
copied again as it is then. So no command is executed twice, and order does not matter. What it
is not: a replica; a snapshot that the primary insists on sending is passed over.

How to read it: `Feed.start`, then `_follow`. What was named is in `changed`; `is_wiped` says that
everything was removed meanwhile and the copy must begin anew.
"""

from __future__ import annotations

import asyncio
import contextlib

from holdfast.ops.wire import Address, WireError, connected, info_fields
from holdfast.sentinel.reply_reader import Reply, ReplyReader, encode_command

ACKNOWLEDGE_S = 0.5
MARK_BYTES = 40
PIECE_BYTES = 1 << 16
WIPING = frozenset(("FLUSHALL", "FLUSHDB", "SWAPDB"))
SILENT = frozenset(
    ("PING", "REPLCONF", "MULTI", "EXEC", "SELECT", "PUBLISH", "SPUBLISH", "SCRIPT", "FUNCTION")
)

Key = tuple[int, str]
"""Database and name."""


class Feed:
    """What changes on one primary."""

    def __init__(self, primary: Address, password: str) -> None:
        self.primary, self._password = primary, password
        self.changed: set[Key] = set()
        self.is_wiped = False
        self.offset = 0
        """How far the stream was read."""
        self.error: Exception | None = None
        self._database = 0
        self._positions: dict[str, tuple[int, int, int] | None] = {}
        self._held = b""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Attach. Raises `WireError`."""
        async with connected(self.primary, self._password) as wire:
            fields = info_fields(str(await wire.ask("INFO", "replication")))
            commands = await wire.ask("COMMAND", timeout_s=10.0)
        self._learn(commands)
        reader, writer = await asyncio.open_connection(self.primary.host, self.primary.port)
        self._reader, self._writer = reader, writer
        if self._password:
            await self._say("AUTH", self._password)
        await self._say("REPLCONF", "capa", "eof", "capa", "psync2")
        offset = int(fields.get("master_repl_offset", "0"))
        answer = await self._say("PSYNC", fields.get("master_replid", "?"), str(offset + 1))
        if answer.startswith("+FULLRESYNC"):
            offset = int(answer.split()[2])
            await self._pass_snapshot()
        elif not answer.startswith("+CONTINUE"):
            raise WireError(f"{self.primary} does not let us follow: {answer}")
        self.offset = offset
        self._task = asyncio.create_task(self._follow())

    def stop(self) -> None:
        """Detach."""
        if self._task is not None:
            self._task.cancel()
            self._writer.close()

    async def _say(self, *words: str) -> str:
        self._writer.write(encode_command(words))
        answer = await self._line()
        if answer.startswith("-") and words[0] != "PSYNC":
            raise WireError(f"{self.primary}: {answer[1:]}")
        return answer

    async def _line(self) -> str:
        """Return a line; empty ones keep the connection alive while a snapshot is made."""
        while True:
            while b"\n" not in self._held:
                await self._more()
            line, _, self._held = self._held.partition(b"\n")
            if text := line.strip(b"\r"):
                return text.decode("utf-8", "replace")

    async def _more(self) -> None:
        piece = await self._reader.read(PIECE_BYTES)
        if not piece:
            raise WireError(f"{self.primary} closed the connection")
        self._held += piece

    async def _pass_snapshot(self) -> None:
        """Read over an RDB, of a given size or up to its mark."""
        head = await self._line()
        if not head.startswith("$EOF:"):
            left = int(head[1:])
            while left > len(self._held):
                left -= len(self._held)
                self._held = b""
                await self._more()
            self._held = self._held[left:]
            return
        mark = head[5:].encode()
        while True:
            place = self._held.find(mark)
            if place >= 0:
                self._held = self._held[place + len(mark) :]
                return
            self._held = self._held[-MARK_BYTES:]
            await self._more()

    async def _follow(self) -> None:
        acknowledging = asyncio.create_task(self._acknowledge())
        replies = ReplyReader()
        try:
            while True:
                piece, self._held = self._held, b""
                for each in replies.feed(piece):
                    await self._executed(each)
                self.offset += len(piece)
                await self._more()
        except (WireError, OSError, ValueError) as error:
            self.error = error
        finally:
            acknowledging.cancel()

    async def _acknowledge(self) -> None:
        while True:
            self.acknowledge_now()
            await asyncio.sleep(ACKNOWLEDGE_S)

    def acknowledge_now(self) -> None:
        """Tell the primary how far we read, so that it keeps us."""
        with contextlib.suppress(OSError):
            self._writer.write(encode_command(["REPLCONF", "ACK", str(self.offset)]))

    async def _executed(self, command: Reply) -> None:
        if not isinstance(command, list) or not command:
            return
        words = [str(each) for each in command]
        name = words[0].upper()
        if name == "SELECT":
            self._database = int(words[1])
        elif name in WIPING:
            self.is_wiped = True
        elif name not in SILENT:
            self.changed.update((self._database, key) for key in await self._keys(name, words))

    async def _keys(self, name: str, words: list[str]) -> list[str]:
        places = self._positions.get(name)
        if places is not None:
            first, last, step = places
            end = last if last >= 0 else len(words) + last
            return words[first : end + 1 : step]
        async with connected(self.primary, self._password) as wire:
            told = await wire.ask("COMMAND", "GETKEYS", *words)
        return [str(each) for each in told] if isinstance(told, list) else []

    def _learn(self, commands: Reply) -> None:
        for each in commands if isinstance(commands, list) else []:
            if isinstance(each, list) and len(each) >= 6 and isinstance(each[2], list):
                first, last, step = (int(str(number)) for number in each[3:6])
                movable = "movablekeys" in each[2] or not first
                self._positions[str(each[0]).upper()] = None if movable else (first, last, step)
