"""What happens when time passes, a connection comes or goes, or a message arrives.

What it is: the order of events of one node. Every input is a method with the time handed
in; what is to be done is collected in `View.effects`. What it is not: the single
decisions, see the modules that it calls; no socket, clock or file.

How to read it: the inputs. Each ends in `settle`, which judges and elects where something
changed that these hang on, so that nothing waits for the next beat.
"""

from __future__ import annotations

from holdfast.cluster import (
    election,
    failure,
    flags,
    health,
    incoming,
    manual,
    messages,
    migration,
    outgoing,
    table,
)
from holdfast.cluster.effects import Connect
from holdfast.cluster.messages import Message
from holdfast.cluster.model import Link, Node, View

BEAT_MS = 100
PING_LEAST_MS = 200
PING_A_NODE_MS = 20
"""Every node is pinged so often: this long times the nodes, within PING_LEAST_MS and half the timeout."""
JOINED = flags.MYSELF | flags.NO_ADDRESS | flags.HANDSHAKE


class Machine:
    """One node of a cluster in motion."""

    def __init__(self, view: View) -> None:
        self.view = view

    # ---- inputs ----

    def beat(self, now_ms: int) -> None:
        """Let time pass; called every `BEAT_MS`, or later."""
        view = self.view
        gap_ms, view.looked_ms = now_ms - view.looked_ms, now_ms
        if gap_ms > max(view.settings.node_timeout // 2, 5 * BEAT_MS):
            self._slept(now_ms)
        self.follow_settings()
        outgoing.answer_owed(view, now_ms)
        for each in view.others():
            if each.link is None or each.flags & flags.HANDSHAKE:
                self._reconnect(each, now_ms)
        interval_ms = self._ping_interval_ms()
        answered_ms, paused = now_ms - interval_ms, view.manual.replica
        for each in view.others():
            has_answered = not each.ping_sent_ms and each.pong_received_ms > answered_ms
            if has_answered and each is not paused and not each.flags & flags.PFAIL:
                continue  # of most nodes, at most beats, nothing is wanted
            if not each.flags & JOINED:
                self._watch(each, interval_ms, now_ms)
        manual.consider(view, now_ms)
        migration.consider(view, now_ms)
        view.must_elect = view.must_elect or view.me.is_replica
        view.must_judge = True
        self.settle(now_ms)

    def look(self, now_ms: int) -> None:
        """Look again at what waits for a moment between two beats."""
        manual.consider(self.view, now_ms)
        self.view.must_elect = True
        self.settle(now_ms)

    def settle(self, now_ms: int) -> None:
        """Judge and elect, if something changed."""
        view = self.view
        if view.must_judge:
            health.judge(view, now_ms)
        if view.must_elect:
            manual.consider(view, now_ms)
            election.consider(view, now_ms)
        if view.must_judge:
            health.judge(view, now_ms)

    def connected(self, link: Link, now_ms: int) -> None:
        """An outbound connection is there: greet, at once."""
        node = link.node
        if node is None or node.link is not link:
            table.close(self.view, link)
            return
        link.is_up = True
        meets = bool(node.flags & flags.MEET)
        outgoing.ping(self.view, link, messages.MEET if meets else messages.PING, now_ms)
        node.flags &= ~flags.MEET

    def lost(self, link: Link, refused: bool, now_ms: int) -> None:
        """A connection ended, or could not be had; `refused`: nobody listens there."""
        view, node = self.view, link.node
        was_up, link.is_up = link.is_up, False
        if node is None:
            return
        if node.inbound is link:
            node.inbound = None
        if node.link is not link:
            return
        node.link = None
        node.ping_sent_ms = node.ping_sent_ms or now_ms
        if was_up and link.has_answered:
            node.lost_ms = now_ms
            self._reconnect(node, now_ms)
        elif refused and node.lost_ms:
            failure.refused(view, node, now_ms)
        self.settle(now_ms)

    def received(self, link: Link, message: Message, now_ms: int) -> None:
        """A message came."""
        incoming.received(self.view, link, message, now_ms)
        self.settle(now_ms)

    def took_over(self, epoch: int, leads: bool, now_ms: int) -> None:
        """What `TakeOver` asked for is done, or could not be."""
        election.took_over(self.view, epoch, leads, now_ms)
        self.settle(now_ms)

    # ---- one beat ----

    def _slept(self, now_ms: int) -> None:
        """Forget what was waited for: it was us who did not listen."""
        for each in self.view.others():
            if each.ping_sent_ms:
                each.ping_sent_ms = now_ms

    def follow_settings(self) -> None:
        """Show others what the configuration says of us."""
        view, me, settings = self.view, self.view.me, self.view.settings
        me.port, me.bus_port = settings.shown_port, settings.shown_bus_port
        if settings.announce_ip:
            me.host = settings.announce_ip
        if (me.hostname, me.human_name) != (settings.hostname, settings.human_name):
            me.hostname, me.human_name = settings.hostname, settings.human_name
            view.save()
        no_failover = flags.NO_FAILOVER if settings.replica_no_failover else 0
        if me.flags & flags.NO_FAILOVER != no_failover:
            me.flags = (me.flags & ~flags.NO_FAILOVER) | no_failover
            view.save()

    def _reconnect(self, node: Node, now_ms: int) -> None:
        view = self.view
        if node.in_handshake and now_ms - node.created_ms > view.settings.handshake_timeout:
            table.remove(view, node)
        elif node.link is None and node.has_address and node.host:
            node.link = Link(node, True, now_ms)
            view.do(Connect(node.link))

    def _ping_interval_ms(self) -> int:
        settings = self.view.settings
        if settings.ping_interval:
            return settings.ping_interval
        return min(max(PING_LEAST_MS, PING_A_NODE_MS * len(self.view.nodes)), settings.node_timeout // 2)

    def _watch(self, node: Node, interval_ms: int, now_ms: int) -> None:
        """Ping a node when it is time, and suspect it when it has been silent for too long."""
        view, timeout_ms = self.view, self.view.settings.node_timeout
        waits_ms = now_ms - node.ping_sent_ms if node.ping_sent_ms else 0
        silent_ms = min(waits_ms, now_ms - node.heard_ms)
        link = node.link
        is_stuck = silent_ms > timeout_ms // 2 or waits_ms > timeout_ms
        if link is not None and is_stuck and now_ms - link.created_ms > timeout_ms:
            table.close(view, link)  # perhaps it is the connection, not the node
            self._reconnect(node, now_ms)
            link = node.link
        wants_ping = not node.ping_sent_ms and now_ms - node.pong_received_ms >= interval_ms
        pauses_for_it = view.manual.replica is node
        if link is not None and link.is_up and (wants_ping or pauses_for_it):
            outgoing.ping(view, link, messages.PING, now_ms)
        elif not node.ping_sent_ms and wants_ping:
            node.ping_sent_ms = now_ms  # it cannot be asked: that counts as asked
        if silent_ms > timeout_ms:
            failure.suspect(view, node, now_ms)
        elif node.is_suspect:
            failure.agree(view, node, now_ms)
