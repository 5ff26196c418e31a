"""Replies of the protocol, read from bytes as they come (RESP2).

What it is: a reader that is fed pieces and gives whole replies. What it is not: a
client; `link` is. A broken stream is one error type, and that connection ends.

How to read it: `Reply` is what a reply can be, `ReplyReader.feed` returns those that
are complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

DEPTH_MAX = 8
BULK_MAX_BYTES = 64 << 20
COUNT_MAX = 1 << 20


class ReplyStatus(str):
    """A status, such as PONG."""

    __slots__ = ()


class ReplyError(str):
    """An error, its code first."""

    __slots__ = ()


Reply = Union[ReplyStatus, ReplyError, str, int, None, Sequence["Reply"]]  # noqa: UP007 - it names itself


class BrokenReply(ValueError):
    """The bytes are no reply."""


class _Incomplete(Exception):
    """More bytes are needed."""


class ReplyReader:
    """Holds the bytes that are not yet a whole reply."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, piece: bytes) -> list[Reply]:
        """Return the replies that are complete now. Raises BrokenReply."""
        held = self._held + piece
        replies: list[Reply] = []
        place = 0
        try:
            while place < len(held):
                reply, place = _read(held, place, 0)
                replies.append(reply)
        except _Incomplete:
            pass
        self._held = held[place:]
        return replies


def _read(held: bytes, place: int, depth: int) -> tuple[Reply, int]:
    end = held.find(b"\r\n", place)
    if end < 0:
        if len(held) - place > BULK_MAX_BYTES:
            raise BrokenReply("a line without an end")
        raise _Incomplete
    kind, line = held[place : place + 1], held[place + 1 : end]
    place = end + 2
    if kind == b"$":
        size = _number(line)
        if size < 0:
            return None, place
        if size > BULK_MAX_BYTES:
            raise BrokenReply("a bulk string that is too long")
        end = place + size
        if len(held) < end + 2:
            raise _Incomplete
        return held[place:end].decode("utf-8", "surrogateescape"), end + 2
    if kind == b":":
        return _number(line), place
    if kind == b"+":
        return ReplyStatus(_text(line)), place
    if kind == b"-":
        return ReplyError(_text(line)), place
    if kind == b"*":
        count = _number(line)
        if count < 0:
            return None, place
        if count > COUNT_MAX or depth >= DEPTH_MAX:
            raise BrokenReply("an array that is too large")
        items: list[Reply] = []
        for _ in range(count):
            if held[place : place + 1] == b"$":  # as a call of its own each word costs twice as much
                end = held.find(b"\r\n", place)
                length = held[place + 1 : end]
                if end > 0 and length.isdigit() and len(length) < 6 and len(held) >= end + int(length) + 4:
                    place = end + int(length) + 4
                    items.append(held[end + 2 : place - 2].decode("utf-8", "surrogateescape"))
                    continue
            item, place = _read(held, place, depth + 1)
            items.append(item)
        return items, place
    raise BrokenReply(f"a reply that begins with {kind!r}")


def _number(line: bytes) -> int:
    try:
        return int(line)
    except ValueError as error:
        raise BrokenReply(f"{line[:30]!r} is no number") from error


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def encode_command(words: Sequence[str]) -> bytes:
    """Return a command as bytes."""
    text = f"*{len(words)}\r\n" + "".join([f"${len(word)}\r\n{word}\r\n" for word in words])
    if text.isascii():
        return text.encode()
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        raw = word.encode("utf-8", "surrogateescape")
        parts.append(b"$%d\r\n%s\r\n" % (len(raw), raw))
    return b"".join(parts)
