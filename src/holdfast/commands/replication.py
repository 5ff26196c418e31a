"""Commands of replication (https://redis.io/commands/replicaof/ and around it).

What this is: their specifications, and one line each to `node.replication`, which does the
work. What it is not: behaviour.

How to read it: `register` is the index.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.commands.spec import Spec
from holdfast.engine.registry import add_function
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import CommandError

Function = Callable[[Session, list[bytes]], object]


def _part(session: Session) -> Any:
    if session.engine.node is None:
        raise CommandError("ERR this engine is not part of a node")
    return session.engine.node.replication


def replicaof(session: Session, arguments: list[bytes]) -> object:
    """REPLICAOF host port | NO ONE."""
    return _part(session).commands.replicaof(session, arguments)


def role(session: Session, arguments: list[bytes]) -> object:
    """ROLE."""
    return _part(session).commands.role()


def wait(session: Session, arguments: list[bytes]) -> object:
    """WAIT numreplicas timeout."""
    return _part(session).waiting.wait(session, arguments)


def waitaof(session: Session, arguments: list[bytes]) -> object:
    """WAITAOF numlocal numreplicas timeout."""
    return _part(session).waiting.wait_aof(session, arguments)


def failover(session: Session, arguments: list[bytes]) -> object:
    """FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]."""
    return _part(session).commands.failover(arguments)


def replconf(session: Session, arguments: list[bytes]) -> object:
    """REPLCONF option value ..."""
    return _part(session).serving.replconf(session, arguments)


def psync(session: Session, arguments: list[bytes]) -> object:
    """PSYNC replicationid offset [FAILOVER], and SYNC."""
    return _part(session).serving.psync(session, arguments)


def order(session: Session, arguments: list[bytes]) -> object:
    """HOLDFAST FENCE | PROMOTE | FOLLOW | FETCH | ATTACH ..."""
    return _part(session).commands.order(session, arguments)


def _declared() -> list[tuple[Spec, Function]]:
    tips = ("request_policy:all_shards", "response_policy:agg_min")
    return [
        (
            Spec(
                "replicaof", 3, "admin noscript stale no_async_loading", group="server", since="5.0.0",
                summary="Follow a primary, or with NO ONE become one.", complexity="O(1)",
            ),
            replicaof,
        ),
        (
            Spec(
                "slaveof", 3, "admin noscript stale no_async_loading", group="server",
                summary="Follow a primary, or with NO ONE become one.", complexity="O(1)",
            ),
            replicaof,
        ),
        (
            Spec(
                "role", 1, "noscript loading stale fast", group="server", since="2.8.12",
                summary="Tell the role of this node in replication.", complexity="O(1)",
                categories="admin dangerous",
            ),
            role,
        ),
        (
            Spec(
                "wait", 3, "", group="generic", since="3.0.0",
                summary="Wait until replicas have the writes of this connection.", complexity="O(1)",
                categories="connection", tips=tips,
            ),
            wait,
        ),
        (
            Spec(
                "waitaof", 4, "", group="generic", since="7.2.0",
                summary="Wait until this connection's writes are on stable storage, here or on replicas.",
                complexity="O(1)", categories="connection", tips=tips,
            ),
            waitaof,
        ),
        (
            Spec(
                "failover", -1, "admin noscript stale", group="server", since="6.2.0",
                summary="Hand the primary's role over to a replica.", complexity="O(1)",
            ),
            failover,
        ),
        (
            Spec(
                "replconf", -1, "admin noscript loading stale allow_busy", group="server", since="3.0.0",
                summary="What the ends of a replication link tell each other.", complexity="O(1)",
            ),
            replconf,
        ),
        (
            Spec(
                "psync", -3, "admin noscript no_async_loading no_multi", group="server", since="2.8.0",
                summary="Attach as a replica.",
            ),
            psync,
        ),
        (
            Spec(
                "sync", 1, "admin noscript no_async_loading no_multi", group="server",
                summary="Attach as a replica, as before Redis 2.8.",
            ),
            psync,
        ),
        (
            Spec(
                "holdfast", -2, "admin noscript loading stale no_multi allow_busy", group="server",
                summary="Orders of a manager: fence, promote, follow, fetch; a replica's attachment.",
                complexity="O(1)",
            ),
            order,
        ),
    ]  # fmt: skip


def register(engine: Engine) -> None:
    """Declare the family."""
    for spec, function in _declared():
        add_function(engine, spec, function)
