"""Replies to questions of our own, as Python values.

What it is: a parse of one whole RESP2 reply, which is what `link.ask` hands over.
What it is not: the data path, which never makes values of replies (`scan`).
"""

from __future__ import annotations

Reply = bytes | int | list["Reply"] | None


class ReplyError(Exception):
    """The reply is an error; the text is its line."""


def value_of(frame: bytes) -> Reply:
    """Return the value of one whole reply; ReplyError when it is an error, ValueError when it is no RESP2."""
    value, _ = _value(frame, 0)
    return value


def _value(frame: bytes, at: int) -> tuple[Reply, int]:
    end = frame.index(b"\r\n", at)
    mark, line = frame[at : at + 1], frame[at + 1 : end]
    at = end + 2
    if mark == b"+":
        return line, at
    if mark == b":":
        return int(line), at
    if mark == b"-":
        raise ReplyError(line.decode("utf-8", "replace"))
    size = int(line)
    if mark == b"$":
        return (None, at) if size < 0 else (frame[at : at + size], at + size + 2)
    if mark != b"*":
        raise ValueError(f"not RESP2: {mark!r}")
    if size < 0:
        return None, at
    values: list[Reply] = []
    for _ in range(size):
        value, at = _value(frame, at)
        values.append(value)
    return values, at


def pairs_of(reply: Reply) -> dict[str, str]:
    """Return name and value of a flat list of both, as Sentinel describes what it watches."""
    words = [
        each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in _list(reply)
    ]
    return dict(zip(words[::2], words[1::2]))


def fields_of(reply: Reply) -> dict[str, str]:
    """Return the fields of an INFO reply."""
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)


def _list(reply: Reply) -> list[Reply]:
    if not isinstance(reply, list):
        raise ValueError("not a list")
    return reply
