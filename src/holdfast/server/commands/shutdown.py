"""SHUTDOWN (https://redis.io/commands/shutdown/). How a node ends is `holdfast.server.shutdown`."""

from __future__ import annotations

from holdfast.commands.spec import Spec
from holdfast.engine import blocking, sessions
from holdfast.engine.registry import add_function
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import NO_REPLY, OK, CommandError
from holdfast.server.commands.words import Args, syntax_error, text
from holdfast.server.node import node_of
from holdfast.server.shutdown import Manner

GUARD_BUSY = 1 << 8
BUSY = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."


def shutdown(session: Session, args: Args) -> object:
    """SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]."""
    words = {text(each).lower() for each in args[1:]}
    if words - {"nosave", "save", "now", "force", "abort"} or {"nosave", "save"} <= words:
        raise syntax_error()
    if "abort" in words:
        if len(words) > 1:
            raise syntax_error()
        if not node_of(session).shutdown.abort():
            raise CommandError("ERR No shutdown in progress.")
        return OK
    if "now" not in words and session.flags & sessions.DENY_BLOCKING:
        raise CommandError("ERR SHUTDOWN without NOW or ABORT isn't allowed for DENY BLOCKING client")
    if "nosave" not in words and session.engine.guard & GUARD_BUSY:
        raise CommandError(BUSY)

    blocking.park_session(session, "shutdown", 0, None)
    node_of(session).shutdown.begin(
        Manner.of_words(frozenset(words)), lambda error: blocking.unpark_with_error(session, error.encode())
    )
    return NO_REPLY


def register(engine: Engine) -> None:
    """The index of the family."""
    add_function(
        engine,
        Spec(
            "shutdown",
            -1,
            "admin noscript loading stale no_multi allow_busy",
            group="server",
            summary="End the server.",
            complexity="O(N) with N keys where it saves",
        ),
        shutdown,
    )
