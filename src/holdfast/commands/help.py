"""The reply of every HELP sub-command: syntax lines, each followed by what it does.

The syntax lines are those of Redis, which tools read; the words under them are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.engine.state import Session
from holdfast.engine.values import Status


def help_lines(container: str, lines: Sequence[str]) -> list[Status]:
    """Return the whole reply for a container; `container` in capitals."""
    first = f"{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    return [Status(line) for line in (first, *lines, "HELP", "    Print this help.")]


def help_command(container: str, lines: Sequence[str]) -> Callable[[Session, list[bytes]], object]:
    """Return the handler of a container's HELP."""

    def show(session: Session, args: list[bytes]) -> object:
        return help_lines(container, lines)

    return show
