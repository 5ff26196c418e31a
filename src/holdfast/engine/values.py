"""Reply values that plain Python has no type for, for commands written in Python.

Everything else maps by itself: None is null, int an integer, bytes (and str) a
bulk string, float a double, bool a boolean, list an array, dict a map, set or
frozenset a set (https://redis.io/docs/reference/protocol-spec/).
"""

from __future__ import annotations


class Status(str):
    """A simple string, such as ``+OK``."""

    __slots__ = ()


class Verbatim(str):
    """A verbatim string of kind ``txt`` (a bulk string in RESP2)."""

    __slots__ = ()


class Push(list[object]):
    """An out-of-band push (an array in RESP2)."""

    __slots__ = ()


class Pairs(list[tuple[object, object]]):
    """A map in a given order whose keys need not be hashable (a flat array in RESP2)."""

    __slots__ = ()


class OrderedSet(list[object]):
    """A set in a given order whose elements need not be hashable (an array in RESP2)."""

    __slots__ = ()


class Raw(bytes):
    """A reply as it stands on the wire."""

    __slots__ = ()


class NoReply:
    """Returned by a Python command that has replied by itself, or parks the session."""


NO_REPLY = NoReply()
OK = Status("OK")


class CommandError(Exception):
    """An error reply: its text begins with the code (``ERR``, ``WRONGTYPE`` ...)."""
