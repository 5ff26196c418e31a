"""One client as a line of CLIENT LIST (https://redis.io/commands/client-list/).

Fields and flags are those of Redis 7.2. `argv-mem` and what belongs to reply
lists are 0: requests are not copied, replies are one buffer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.engine import sessions
from holdfast.engine.state import Session

if TYPE_CHECKING:
    from holdfast.server.connection import Connection
    from holdfast.server.node import Node

FLAG_LETTERS = (
    (sessions.PRIMARY, "M"),
    (sessions.PUBSUB, "P"),
    (sessions.MULTI, "x"),
    (sessions.BLOCKED, "b"),
    (sessions.DIRTY_CAS, "d"),
    (sessions.CLOSE_AFTER, "c"),
    (sessions.CLOSING, "A"),
    (sessions.UNIX, "U"),
    (sessions.READONLY, "r"),
    (sessions.NO_EVICT, "e"),
    (sessions.NO_TOUCH, "T"),
)


def shown_flags(session: Session) -> str:
    """Return the letters of CLIENT LIST's `flags`."""
    first = "O" if session.flags & sessions.MONITOR else "S" if session.flags & sessions.REPLICA else ""
    flags = sessions.flags_to_show(session)
    return first + "".join(letter for bit, letter in FLAG_LETTERS if flags & bit) or "N"


def line_of(node: Node, connection: Connection) -> str:
    """Return the line of one client, without a line break."""
    session = connection.session
    facts = sessions.facts(session)
    now_ms = node.engine.now_ms
    link = connection.transport.get_extra_info("socket")
    descriptor = link.fileno() if link is not None else -1
    waits = connection.write_buffer_bytes
    fields = {
        "id": session.id,
        "addr": session.address,
        "laddr": session.local_address,
        "fd": descriptor,
        "name": shown(session.name),
        "age": (now_ms - session.created_ms) // 1000,
        "idle": (now_ms - session.active_ms) // 1000,
        "flags": shown_flags(session),
        "db": facts["db"],
        "sub": facts["sub"],
        "psub": facts["psub"],
        "ssub": facts["ssub"],
        "multi": facts["multi"],
        "qbuf": facts["input"],
        "qbuf-free": facts["input_free"],
        "argv-mem": 0,
        "multi-mem": facts["queue"],
        "rbs": facts["output_room"],
        "rbp": facts["output"],
        "obl": facts["output"],
        "oll": 1 if waits else 0,
        "omem": waits,
        "tot-mem": node.clients.memory_of(connection),
        "events": "rw" if waits or facts["output"] else "r",
        "cmd": facts["command"],
        "user": shown(session.user),
        "redir": -1,
        "resp": session.resp,
        "lib-name": shown(session.lib_name),
        "lib-ver": shown(session.lib_ver),
    }
    return " ".join(f"{name}={value}" for name, value in fields.items())


def shown(value: bytes | None) -> str:
    """Return an optional name as text."""
    return value.decode("utf-8", "surrogateescape") if value else ""
