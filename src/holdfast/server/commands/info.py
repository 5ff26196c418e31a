"""INFO and TIME: what the server tells of itself (https://redis.io/commands/info/).

The sections are `holdfast.server.info_sections`'.
"""

from __future__ import annotations

from holdfast.commands.spec import Spec
from holdfast.engine.registry import add_function
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import Verbatim
from holdfast.server.commands.words import Args, text
from holdfast.server.node import node_of


def info(session: Session, args: Args) -> object:
    """INFO [section ...]."""
    return Verbatim(node_of(session).info.text(text(each) for each in args[1:]))


def time(session: Session, args: Args) -> object:
    """TIME: seconds and microseconds."""
    now_us = node_of(session).host.clock.wall_us()
    return [str(now_us // 1_000_000), str(now_us % 1_000_000)]


def register(engine: Engine) -> None:
    """The index of the family."""
    add_function(
        engine,
        Spec(
            "info",
            -1,
            "loading stale",
            group="server",
            categories="dangerous",
            summary="Tell about the server.",
            complexity="O(1)",
        ),
        info,
    )
    add_function(
        engine,
        Spec(
            "time",
            1,
            "loading stale fast",
            group="server",
            since="2.6.0",
            summary="Tell the time.",
            complexity="O(1)",
        ),
        time,
    )
