"""How far replicas are, by samples of the primary's offset.

What it is: a question to the primary (INFO replication) every so often, then one to
each of its replicas. A replica that has reached the offset of a sample has all that
its primary had executed when the sample was asked for: so the sample's age is its
lag, and a session's writes that were answered before are in it. What it is not: the
choice of a server for a read (`following_pool.read_from`).

Offsets are compared within one replication id only: after a failover a replica is
not read from until it follows the new primary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from holdfast.proxy import link as links
from holdfast.proxy.following_pool import FollowingPool, Standing
from holdfast.proxy.reply_words import ReplyError, fields_of, value_of
from holdfast.proxy.shapes import Backend, Shard

KEPT = 64
PART = 4
"""Samples within the lag ceiling."""
OFTEN_S, SELDOM_S = 0.02, 0.25
WEIGHT = 0.2
"""Of the newest round trip in the mean."""
LATE_S = 1.0
"""A question not answered for so long is asked again."""


class Sampler:
    """The samples of one shard."""

    def __init__(self, pool: FollowingPool, shard: Shard) -> None:
        self.pool, self.shard = pool, shard
        self.period_s = min(max(pool.lag_most_s / PART, OFTEN_S), SELDOM_S) if pool.lag_most_s else SELDOM_S
        self.closed = False
        self._replication_id = ""
        self._samples: deque[tuple[int, float, int]] = deque(maxlen=KEPT)
        """(number, when it was asked for, offset), oldest first."""
        self._open: dict[Backend, float] = {}

    def step(self) -> None:
        """Ask the primary; its answer makes the replicas be asked."""
        if self.closed:
            return
        loop = self.pool.exchange.loop
        primary = self.shard.primary
        if primary is not None:
            self.pool.sampled[self.shard.ordinal] += 1
            number, at = self.pool.sampled[self.shard.ordinal], loop.time()
            self._ask(primary, lambda fields: self._primary_told(number, at, fields))
        else:
            self._ask_replicas()
        loop.call_later(self.period_s, self.step)

    def _ask(self, backend: Backend, then: Callable[[dict[str, str]], object]) -> None:
        exchange = self.pool.exchange
        now = exchange.loop.time()
        if now - self._open.get(backend, -LATE_S) < LATE_S:
            return
        self._open[backend] = now
        if not exchange.engine.tick_open:
            exchange.open_tick()
        links.ask(backend, [b"INFO", b"replication"], lambda frame: self._told(backend, now, then, frame))

    def _told(self, backend: Backend, asked_at: float, then: Callable[[dict[str, str]], object], frame: bytes | None) -> None:
        self._open.pop(backend, None)
        standing = backend.facts
        if self.closed or not isinstance(standing, Standing):
            return
        fields: dict[str, str] = {}
        if frame is not None:
            try:
                fields = fields_of(value_of(frame))
            except (ReplyError, ValueError):
                fields = {}
        if not fields:
            standing.readable = False
            return
        trip = self.pool.exchange.loop.time() - asked_at
        known = standing.round_trip_s
        standing.round_trip_s = trip if known > LATE_S else known + WEIGHT * (trip - known)
        then(fields)

    def _primary_told(self, number: int, at: float, fields: dict[str, str]) -> None:
        if fields.get("role") != "master":
            return
        if fields.get("master_replid") != self._replication_id:
            self._replication_id = fields.get("master_replid", "")
            self._samples.clear()
        self._samples.append((number, at, int(fields.get("master_repl_offset", 0))))
        self._ask_replicas()

    def _ask_replicas(self) -> None:
        for each in self.shard.replicas:
            self._ask(each, lambda fields, each=each: self._replica_told(each.facts, fields))

    def _replica_told(self, standing: Standing, fields: dict[str, str]) -> None:
        in_sync = fields.get("role") == "slave" and fields.get("master_link_status") == "up"
        if not in_sync or fields.get("master_replid") != self._replication_id:
            standing.readable = False
            return
        standing.readable = True
        offset = int(fields.get("slave_repl_offset", 0))
        for number, at, sampled in reversed(self._samples):
            if sampled <= offset:
                standing.reached, standing.fresh_at = number, at
                break

    def close(self) -> None:
        """Ask no more."""
        self.closed = True
