"""MONITOR: every executed request, as a stream (https://redis.io/commands/monitor/).

The stream itself is the engine's (`engine/monitor.pyx`); secrets are left out of
it by `redaction`, and a reader that does not read is closed by `clients`.
"""

from __future__ import annotations

from holdfast.commands.spec import Spec
from holdfast.engine import sessions
from holdfast.engine.registry import add_function
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import NO_REPLY, OK, CommandError
from holdfast.server.commands.words import Args


def monitor(session: Session, args: Args) -> object:
    """MONITOR."""
    if session.flags & sessions.DENY_BLOCKING:
        raise CommandError("ERR MONITOR isn't allowed for DENY BLOCKING client")
    if session.flags & sessions.REPLICA:
        return NO_REPLY
    sessions.start_monitor(session)
    return OK


def register(engine: Engine) -> None:
    """The index of the family."""
    add_function(
        engine,
        Spec("monitor", 1, "admin noscript loading stale", group="server", summary="See every request."),
        monitor,
    )
