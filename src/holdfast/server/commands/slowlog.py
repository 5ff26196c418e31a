"""SLOWLOG: what was slow (https://redis.io/commands/slowlog-get/). The index is `register`."""

from __future__ import annotations

from holdfast.commands.help import help_command
from holdfast.commands.spec import Spec
from holdfast.commands.subcommands import Row, add_subcommands
from holdfast.engine.registry import add_container
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import OK, CommandError
from holdfast.server.commands.words import Args, integer
from holdfast.server.node import node_of

COUNT_DEFAULT = 10
HELP = (
    "GET [<count>]",
    "    Show the newest <count> entries (default: 10, -1: all): id, time in seconds, duration in",
    "    microseconds, arguments, address and name of the client.",
    "LEN",
    "    Tell how many entries there are.",
    "RESET",
    "    Forget all entries.",
)


def get(session: Session, args: Args) -> object:
    """SLOWLOG GET [count]."""
    if len(args) > 3:
        raise CommandError("ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.")
    count = COUNT_DEFAULT
    if len(args) == 3:
        count = integer(args[2], "ERR count should be greater than or equal to -1", low=-1)
    entries = list(node_of(session).slow_commands.entries)
    if count >= 0:
        entries = entries[:count]
    return [
        [each.number, each.at_seconds, each.took_us, each.arguments, each.address, each.client_name]
        for each in entries
    ]


def length(session: Session, args: Args) -> object:
    """SLOWLOG LEN."""
    return len(node_of(session).slow_commands.entries)


def reset(session: Session, args: Args) -> object:
    """SLOWLOG RESET."""
    node_of(session).slow_commands.reset()
    return OK


def register(engine: Engine) -> None:
    """The index of the family."""
    add_container(
        engine, Spec("slowlog", -2, "container", group="server", since="2.2.12", summary="The slow log.")
    )
    index: tuple[Row, ...] = (
        ("get", -2, "admin loading stale", "2.2.12", get, "Show slow commands.", "O(N) with N entries"),
        ("help", 2, "loading stale", "6.2.0", help_command("SLOWLOG", HELP), "Show help on SLOWLOG.", "O(1)"),
        ("len", 2, "admin loading stale", "2.2.12", length, "Count slow commands.", "O(1)"),
        ("reset", 2, "admin loading stale", "2.2.12", reset, "Forget slow commands.", "O(N) with N entries"),
    )
    add_subcommands(engine, "slowlog", index, group="server")
