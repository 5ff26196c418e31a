"""Following the primary of a shard: proof, change, and the end of the one that was.

What it is: what happens between "this server leads, somebody says" and "requests go
there". The server has to say itself that it is a primary (ROLE). Then, before the
first request goes to it, what is still on its way to the old one is waited for, while
the old one lives: a client's requests stay in order, and what comes back as not
executed goes before what came later. A node that is demoted may have requests waiting
that it refuses only in the end (paused, without a lease), but it answers a PING; one
that is stopped does not. What never comes back ends with an error. What it is not: the
knowledge of who leads (`sentinel_pool`, `cluster_pool`).

How to read it: `Follower.lead` is the way of a new primary, `_doubted` that of a lost one.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.proxy import link as links
from holdfast.proxy.following_pool import FollowingPool, Standing
from holdfast.proxy.reply_words import Reply, ReplyError, value_of
from holdfast.proxy.sentinel_view import Address, is_primary
from holdfast.proxy.shapes import Backend, Link, Shard

RETRY_S = 0.01
"""Until a server is asked again whether it is a primary."""
PROOF_S = 0.5
"""For the answer; then its connections are made anew."""
PACE_S = 0.02
DRAIN_LOOK_S = 0.002
PULSE_S = 0.01
"""Between two PINGs to an old primary that still owes answers."""
SILENT_S = 0.2
"""An old primary that answered nothing for so long, not even PING, will not: it lives, but gets no
processor, for less. What a stopped one costs is this much more of a pause."""
DRAIN_MOST_S = 1.5
"""Longer than a node without a lease holds a write (lease-hold-ms, 1000) before it refuses it."""


class Follower:
    """One shard's way from primary to primary."""

    def __init__(
        self,
        pool: FollowingPool,
        shard: Shard,
        choice: Callable[[], Address | None],
        look: Callable[[], None],
    ) -> None:
        """`choice` tells who should lead by now, `look` begins to find out."""
        self.pool, self.shard = pool, shard
        self._choice, self._look = choice, look
        self.current: Backend | None = None
        """The last proven primary; the shard has it unless it is doubted."""
        self.lost_at = pool.exchange.loop.time()
        self._asked: Backend | None = None
        self._asked_at = 0.0
        self._probe: Link | None = None
        self._draining = False
        self._pulse_at = 0.0
        """When the old primary last answered a PING."""
        self._pulse: Link | None = None
        self._next: Backend | None = None
        """The primary to be, while the old one is waited for."""
        self._led_at = 0.0
        self.barred = 0
        """While not 0 the shard gets no primary (a slot moves)."""
        self.on_lead: Callable[[Backend], object] = lambda backend: None
        self.closed = False
        self.failovers = 0

    # ---- which server ----

    def server(self, address: Address) -> Backend:
        """Return the backend of an address: the one that is there, or a new one."""
        known = [self.current, self._asked, *self.shard.replicas]
        for each in known:
            if each is not None and (each.host, each.port) == address:
                return each
        return self.pool.open_server(*address)

    def consider(self) -> None:
        """Somebody may lead now: ask whoever should."""
        address = self._choice()
        if self.closed or address is None or self._draining or self.barred:
            return
        current = self.current
        if self.shard.primary is not None and current is not None and (current.host, current.port) == address:
            return
        asked = self._asked
        late = self.pool.exchange.loop.time() - self._asked_at >= PROOF_S
        if asked is not None and (asked.host, asked.port) == address and not late:
            return
        self._ask(self.server(address))

    def _ask(self, backend: Backend) -> None:
        exchange = self.pool.exchange
        if not exchange.engine.tick_open:
            exchange.open_tick()
        probe = self._probe
        if probe is not None and (probe.lane.backend is not backend or self._asked is not None):
            self._probe = None  # another server, or this one did not answer
            links.close(probe)
            probe = None
        if probe is None or probe.closed:
            probe = links.open_private(backend, 0, 2)
        self._probe = probe
        self._asked = backend
        self._asked_at = exchange.loop.time()
        links.send_words(probe, [b"ROLE"], lambda frame: self._answered(probe, backend, frame))
        exchange.loop.call_later(PROOF_S, self.consider)

    def _answered(self, probe: Link, backend: Backend, frame: bytes | None) -> None:
        if self.closed or probe is not self._probe:
            return
        self._asked = None
        if self.barred:
            return
        role: Reply = None
        if frame is not None:
            try:
                role = value_of(frame)
            except (ReplyError, ValueError):
                role = None
        if (backend.host, backend.port) != self._choice():
            self.consider()
        elif is_primary(role):
            self._probe = None
            links.close(probe)
            self.lead(backend)
        else:
            self._look()
            self.pool.exchange.loop.call_later(RETRY_S, self.consider)

    def take_replicas(self, addresses: set[Address]) -> None:
        """Read from these, and from no others."""
        shard, current = self.shard, self.current
        if current is not None:
            addresses = addresses - {(current.host, current.port)}
        kept = [each for each in shard.replicas if (each.host, each.port) in addresses]
        gone = [
            each
            for each in shard.replicas
            if each not in kept and each not in (current, self._asked, self._next)
        ]
        known = {(each.host, each.port) for each in kept}
        shard.replicas = kept + [self.pool.open_replica(*each) for each in sorted(addresses - known)]
        if gone:
            self.pool.exchange.node.leave(gone)

    # ---- change ----

    def lead(self, backend: Backend) -> None:
        """The server has proven to be the primary: it takes over, once the old one has nothing on its way."""
        old = self.current
        if old is None or old is backend:
            self._take_over(backend, None)
            return
        self._draining, self._next = True, backend
        self.shard.primary = None
        began = self._pulse_at = self.pool.exchange.loop.time()
        self.pool.exchange.loop.call_later(PULSE_S, self._feel, old)
        self._drain(old, backend, old.responses, began, began)

    def _drain(self, old: Backend, new: Backend, responses: int, since: float, began: float) -> None:
        if self.closed:
            return
        now = self.pool.exchange.loop.time()
        if old.responses != responses:
            responses, since = old.responses, now
        if old.busy() and now - max(since, self._pulse_at) < SILENT_S and now - began < DRAIN_MOST_S:
            self.pool.exchange.loop.call_later(DRAIN_LOOK_S, self._drain, old, new, responses, since, began)
            return
        self._draining, self._next = False, None
        if self._pulse is not None:
            links.close(self._pulse)
            self._pulse = None
        self._take_over(new, old)

    def _feel(self, old: Backend) -> None:
        """PING an old primary while it is waited for, on a connection of its own."""
        exchange = self.pool.exchange
        if not self._draining or self.closed:
            return
        if not exchange.engine.tick_open:
            exchange.open_tick()
        if self._pulse is None:
            self._pulse = links.open_private(old, 0, 2)

        def answered(frame: bytes | None) -> None:
            if frame is not None:
                self._pulse_at = exchange.loop.time()
                exchange.loop.call_later(PULSE_S, self._feel, old)

        links.send_words(self._pulse, [b"PING"], answered)

    def _take_over(self, new: Backend, old: Backend | None) -> None:
        self.current = new
        if new in self.shard.replicas:
            self.shard.replicas = [each for each in self.shard.replicas if each is not new]
        if not isinstance(new.facts, Standing):
            new.facts = Standing()
        if old is not None:
            self.failovers += 1
            self._end(old)
        exchange = self.pool.exchange
        lost_ms = (exchange.loop.time() - self.lost_at) * 1000 if self.lost_at else 0.0
        if old is not None or self.lost_at:
            exchange.node.log.notice(
                f"pool '{self.pool.name}': {new.host}:{new.port} leads {self.shard.name} "
                f"after {lost_ms:.0f} ms, {self.shard.held_count} requests waited"
            )
        self.lost_at = 0.0
        if not exchange.engine.tick_open:
            exchange.open_tick()
        self._led_at = exchange.loop.time()
        self.shard.primary = new
        self.on_lead(new)
        self.pool.wake()
        ear = exchange.hub.ears.get(self.shard) if old is not None and exchange.hub is not None else None
        if ear is not None:
            ear.close()
            ear.connect()

    def _end(self, old: Backend) -> None:
        """Nothing goes to the old primary any more; what waits on it alone ends with an error."""
        for client in self.pool.exchange.node.all_clients():
            if client.pinned is not None and client.pinned.lane.backend is old:
                links.close(client.pinned)
        old.disconnect()

    def doubted(self, backend: Backend) -> None:
        """The primary was lost, or said that it is none: find out."""
        self.lost_at = self.pool.exchange.loop.time()
        self._look()
        # A primary that answers as if it were none (LOADING, CLUSTERDOWN) is not asked in a circle.
        wait_s = 0.0 if self.lost_at - self._led_at > PACE_S else PACE_S
        self.pool.exchange.loop.call_later(wait_s, self.consider)

    def pause(self) -> None:
        """The primary is about to change: hold, and find out."""
        self.lost_at = self.pool.exchange.loop.time()
        self.shard.primary = None
        self._look()

    def close(self) -> None:
        """Follow no more."""
        self.closed = True
        for each in (self._probe, self._pulse):
            if each is not None:
                links.close(each)
