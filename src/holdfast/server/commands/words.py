"""Reading the arguments of commands written in Python: numbers and words, Redis's errors.

Not here: texts of one command only.
"""

from __future__ import annotations

from holdfast.engine.values import CommandError

SYNTAX_ERROR = "ERR syntax error"
NOT_INTEGER = "ERR value is not an integer or out of range"
INT64_MAX = (1 << 63) - 1

Args = list[bytes]


def text(value: bytes) -> str:
    """Return bytes of a client as text that can be turned back."""
    return value.decode("utf-8", "surrogateescape")


def integer(value: bytes, error: str = NOT_INTEGER, low: int = -INT64_MAX - 1, high: int = INT64_MAX) -> int:
    """Read a strict decimal integer within bounds."""
    digits = value[1:] if value[:1] == b"-" else value
    canonical = digits.isdigit() and digits.isascii() and (digits[:1] != b"0" or value == b"0")
    if not canonical or len(digits) > 19 or not low <= int(value) <= high:
        raise CommandError(error)
    return int(value)


def on_or_off(value: bytes) -> bool:
    """Read ON or OFF."""
    word = value.lower()
    if word not in (b"on", b"off"):
        raise CommandError(SYNTAX_ERROR)
    return word == b"on"


def syntax_error() -> CommandError:
    """Return the error to raise."""
    return CommandError(SYNTAX_ERROR)
