"""A planned failover of stock servers: writes are paused, the replica catches up, then it leads.

What it is: what SENTINEL FAILOVER does where the nodes know no orders of ours. The primary is
told CLIENT PAUSE ... WRITE, then where its stream stands; when the replica's INFO says that it
has come so far, it is promoted, and the old primary follows it before its writes go on: they
are answered with -READONLY, never executed, and then its clients are disconnected. What it is
not: a failover of ours, which goes by epochs and fences (`takeover`).

FAILOVER TO would do the same with one command; but while redis-server pauses writes it asks
its replicas for nothing, and they tell by themselves how far they are once a second: half a
second of outage instead of some milliseconds. The replica itself can be asked at any time.

How to read it: `HandOver` is the state; `step` is called at every look until it returns True.
If a Sentinel dies in between, the pause ends by itself and the primary leads on.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.sentinel import asking, orders
from holdfast.sentinel.info_reply import parse_info
from holdfast.sentinel.model import Instance, Primary, Sentinel
from holdfast.sentinel.reply_reader import Reply, ReplyError
from holdfast.sentinel.settings import PLANNED_WAIT_MS


@dataclass(slots=True)
class HandOver:
    """One planned failover. `offset` is where the paused primary's stream ends, None: not told yet."""

    epoch: int
    offset: int | None = None
    refusal: str = ""


def step(sentinel: Sentinel, primary: Primary, chosen: Instance, now_ms: int) -> bool:
    """Go on; True: the replica has everything and was told to lead."""
    state = primary.hand_over
    if state is None:
        if primary.link.is_up:
            _pause(sentinel, primary)
        return False
    if state.offset is None:
        return False
    if chosen.offset < state.offset:
        if chosen.info_ms is None or chosen.info_sent_ms <= chosen.info_ms:
            asking.ask_info(sentinel, chosen, now_ms)
        return False
    return orders.replica_of(sentinel, chosen, None, now_ms)


def _pause(sentinel: Sentinel, primary: Primary) -> None:
    state = primary.hand_over = HandOver(primary.failover_epoch)

    def paused(reply: Reply, at_ms: int) -> None:
        if isinstance(reply, ReplyError):
            state.refusal = str(reply)

    def told(reply: Reply, at_ms: int) -> None:
        if isinstance(reply, ReplyError):
            state.refusal = str(reply)
        elif isinstance(reply, str):
            state.offset = parse_info(reply).stream_offset

    limit_ms = min(PLANNED_WAIT_MS, primary.options.failover_timeout_ms)
    sentinel.send(primary, "CLIENT", "PAUSE", str(limit_ms), "WRITE", on_reply=paused)
    sentinel.send(primary, "INFO", "replication", on_reply=told)


def end(sentinel: Sentinel, primary: Primary) -> None:
    """Let writes go on: after the old primary follows, or when it leads on."""
    if primary.hand_over is not None:
        primary.hand_over = None
        if primary.link.is_up:
            sentinel.send(primary, "CLIENT", "UNPAUSE")
