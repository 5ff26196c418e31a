"""SAVE, BGSAVE, LASTSAVE, BGREWRITEAOF (https://redis.io/commands/bgsave/).

Only the words: what is saved, when and how is the node's keeper of files
(`holdfast.persistence.keeper`), which an engine without a node does not have.
"""

from __future__ import annotations

from typing import Any

from holdfast.commands.spec import Spec
from holdfast.engine.registry import add_function
from holdfast.engine.state import Engine
from holdfast.engine.values import CommandError, Status


def register(engine: Engine) -> None:
    """Declare the family."""
    for spec, function in (
        (Spec("save", 1, "admin noscript no_async_loading no_multi", group="server",
              summary="Save the data set to disk; everybody waits.",
              complexity="O(N) in the number of keys"), save),
        (Spec("bgsave", -1, "admin noscript no_async_loading", group="server",
              summary="Save the data set to disk in the background.", complexity="O(1)"), bgsave),
        (Spec("lastsave", 1, "loading stale fast", group="server", categories="admin dangerous",
              summary="Return the time of the last save that succeeded.", complexity="O(1)",
              tips=("nondeterministic_output",)), lastsave),
        (Spec("bgrewriteaof", 1, "admin noscript no_async_loading", group="server",
              summary="Rewrite the append-only file in the background.", complexity="O(1)"), bgrewriteaof),
    ):  # fmt: skip
        add_function(engine, spec, function)


def _keeper(session: Any) -> Any:
    if session.engine.node is None:
        raise CommandError("ERR this engine is not part of a node")
    return session.engine.node.keeper


def save(session: Any, args: list[bytes]) -> object:
    """Save in the foreground."""
    keeper = _keeper(session)
    if keeper.saves.running:
        raise CommandError("ERR Background save already in progress")
    if not keeper.saves.save_at_once():
        raise CommandError("ERR")
    return Status("OK")


def bgsave(session: Any, args: list[bytes]) -> object:
    """Start a save in the background, or schedule it."""
    keeper = _keeper(session)
    schedule = len(args) == 2 and args[1].upper() == b"SCHEDULE"
    if len(args) > 1 and not schedule:
        raise CommandError("ERR syntax error")
    if keeper.saves.running:
        raise CommandError("ERR Background save already in progress")
    if keeper.busy:
        if not schedule:
            raise CommandError(
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in "
                "order to schedule a BGSAVE whenever possible."
            )
        keeper.saves.scheduled = True
        return Status("Background saving scheduled")
    if not keeper.saves.begin():
        raise CommandError("ERR")
    return Status("Background saving started")


def lastsave(session: Any, args: list[bytes]) -> object:
    """Return seconds since 1970."""
    return int(_keeper(session).saves.last_s)


def bgrewriteaof(session: Any, args: list[bytes]) -> object:
    """Start a rewrite, or schedule it."""
    keeper = _keeper(session)
    if keeper.aof.writer.rewrites.running:
        raise CommandError("ERR Background append only file rewriting already in progress")
    if keeper.busy:
        keeper.aof.writer.rewrites.schedule()
        return Status("Background append only file rewriting scheduled")
    refusal = keeper.aof.begin_rewrite()
    if refusal:
        raise CommandError(
            "ERR Can't execute an AOF background rewriting. Please check the server logs for more "
            "information."
        )
    return Status("Background append only file rewriting started")
