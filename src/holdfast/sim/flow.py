"""One direction of a connection: bytes between two kernels.

What this is: what TCP promises, without its packets. Bytes arrive in order and
whole, after latency, jitter, loss and bandwidth; at most a window of them is
outstanding; a cut holds them back, and after it heals they arrive when the sender's
next retransmission is due. What it is not: the buffers of the programs at its ends
(`endpoint`).

How to read it: `queue` holds what left the sender and has not arrived, as pairs of
arrival time and either a list of byte strings (all that was written in one instant
travels together) or a mark: OPEN, FIN. A reset does not queue and is not repeated.
(Plain lists: they are short, and an empty deque takes 600 bytes, six times a connection.)
`outstanding` counts what the window is charged with: sent and not yet read by the
other program. While the way back is cut the acknowledgements are lost, so what is
read stays charged (`unacknowledged`). Left out: a sender gives up after
`GIVE_UP_SECONDS` only when its bytes are lost, not when only acknowledgements are;
congestion windows; keep-alive probes.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.sim.endpoint import Endpoint
    from holdfast.sim.network import Link, Network

OPEN = "open"
FIN = "fin"
RESET = "reset"

FIRST_RETRANSMISSION_SECONDS = 0.2
LONGEST_RETRANSMISSION_SECONDS = 120.0
GIVE_UP_SECONDS = 924.6
"""tcp_retries2 = 15: how long a sender tries before the connection is lost with ETIMEDOUT."""


def next_retransmission(first_lost: float, now: float) -> float:
    """Return when a sender whose first packet was lost at `first_lost` tries next, at or after `now`."""
    interval = FIRST_RETRANSMISSION_SECONDS
    moment = first_lost + interval
    while moment < now:
        interval = min(interval * 2, LONGEST_RETRANSMISSION_SECONDS)
        moment += interval
    return moment


class Flow:
    """One direction of a connection."""

    __slots__ = (
        "last_arrival",
        "link",
        "lost_since",
        "network",
        "outstanding",
        "queue",
        "release_due",
        "sent_at",
        "sink",
        "source",
        "tail",
        "unacknowledged",
        "window_bytes",
    )

    def __init__(self, network: Network, link: Link, source: Endpoint, sink: Endpoint) -> None:
        """Open a direction over `link`."""
        self.network = network
        self.link = link
        self.source = source
        self.sink = sink
        self.queue: list[tuple[float, list[bytes] | str]] = []
        self.tail: list[bytes] | None = None
        self.sent_at = -1.0
        self.last_arrival = 0.0
        self.lost_since: float | None = None
        self.outstanding = 0
        self.unacknowledged = 0
        self.window_bytes = network.window_bytes
        self.release_due = False
        link.flows[self] = None

    def send(self, chunk: bytes) -> None:
        """Send bytes that the window has room for."""
        now = self.network.loop.now
        self.outstanding += len(chunk)
        if self.sent_at == now and self.tail is not None:
            self.tail.append(chunk)
            bandwidth = self.link.bytes_per_second
            if bandwidth:
                self.link.free_at += len(chunk) / bandwidth
            return
        self.sent_at = now
        self.tail = [chunk]
        self._enqueue(self.tail, len(chunk))

    def send_mark(self, mark: str) -> None:
        """Send OPEN or FIN."""
        self.tail = None
        self._enqueue(mark, 0)

    def _enqueue(self, item: list[bytes] | str, size: int) -> None:
        network, link = self.network, self.link
        loop = network.loop
        arrival = loop.now + link.latency
        if link.jitter:
            arrival += link.jitter * network.luck()
        if link.loss and network.luck() < link.loss:
            arrival += FIRST_RETRANSMISSION_SECONDS
        if link.bytes_per_second:
            link.free_at = max(loop.now, link.free_at) + size / link.bytes_per_second
            arrival += link.free_at - loop.now
        if arrival < self.last_arrival:
            arrival = self.last_arrival
        self.last_arrival = arrival
        self.queue.append((arrival, item))
        if link.cut:
            self._lose()
        else:
            loop.push(arrival, self.deliver, None)

    def deliver(self, _: None) -> None:
        """Hand what has arrived to the receiving kernel."""
        if self.link.cut or self.sink.interface.down:
            if self.queue:
                self._lose()
            return
        if self.lost_since is not None:
            return
        now = self.network.loop.now
        queue, sink = self.queue, self.sink
        arrived = breaks = False
        while queue and queue[0][0] <= now:
            item = queue.pop(0)[1]
            if item is self.tail:
                self.tail = None
            if sink.closed:
                if item == FIN:
                    self.retire()
                else:
                    sink.send_reset()
                    self.retire()
                return
            if self.link.breaks_in_bytes is not None and isinstance(item, list):
                item, breaks = self._up_to_break(item, self.link.breaks_in_bytes)
            sink.unread.append(item)
            if item == FIN:
                self.link.flows.pop(self, None)
            arrived = True
            if breaks:
                break
        if arrived:
            sink.read(None)
        if breaks:
            self._break()

    def _up_to_break(self, item: list[bytes], room: int) -> tuple[list[bytes], bool]:
        """Return what arrives of a piece, and whether the connection breaks behind it."""
        chunk = b"".join(item)
        if len(chunk) < room:
            self.link.breaks_in_bytes = room - len(chunk)
            return item, False
        self.link.breaks_in_bytes = None
        return [chunk[:room]], True

    def _break(self) -> None:
        """Reset both ends, each as it hears of it; what was under way is gone."""
        loop, source = self.network.loop, self.source
        self.retire()
        self.sink.reset()
        loop.push(loop.now + self.link.reverse.latency, lambda _: source.reset(), None)

    def consumed(self, size: int) -> None:
        """Give `size` bytes of window back: the program has read them."""
        if self.link.reverse.cut:
            self.unacknowledged += size
            return
        self.outstanding -= size
        if self.source.held and not self.release_due:
            self.release_due = True
            loop = self.network.loop
            loop.push(loop.now + self.link.reverse.latency, self._release, None)

    def acknowledge(self) -> None:
        """Let acknowledgements through that were lost so far."""
        size, self.unacknowledged = self.unacknowledged, 0
        if size:
            self.consumed(size)

    def _release(self, _: None) -> None:
        self.release_due = False
        self.source.flush(None)

    def _lose(self) -> None:
        if self.lost_since is None:
            loop = self.network.loop
            self.lost_since = loop.now
            self.link.flows[self] = None
            if not self.source.gone:
                loop.push(loop.now + GIVE_UP_SECONDS, self._give_up, self.lost_since)

    def _give_up(self, lost_since: float) -> None:
        if self.lost_since == lost_since:
            self.retire()
            self.source.fail(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))

    def path_opened(self) -> None:
        """Repeat what was lost, at the moment at which the sender's kernel tries again."""
        if self.lost_since is None:
            return
        if self.source.gone:
            self.retire()
            return
        loop = self.network.loop
        arrival = next_retransmission(self.lost_since, loop.now) + self.link.latency
        self.lost_since = None
        self.last_arrival = max(self.last_arrival, arrival)
        self.queue = [(arrival, item) for _, item in self.queue]
        self.tail = None
        loop.push(arrival, self.deliver, None)

    def reset_sink(self) -> None:
        """Send a reset: nothing of it is repeated if it is lost."""
        loop = self.network.loop
        if not self.link.cut:
            loop.push(loop.now + self.link.latency, self._reset_arrives, None)
        self.retire()

    def inject_reset(self) -> None:
        """Let a reset come from the middle of the way; if a cut loses it, the connection lives on whole."""
        loop = self.network.loop
        if not self.link.cut:
            loop.push(loop.now + self.link.latency, self._reset_arrives, None)

    def _reset_arrives(self, _: None) -> None:
        if not self.link.cut and not self.sink.interface.down:
            self.sink.reset()

    def retire(self) -> None:
        """Forget the direction: nothing will come through it any more."""
        self.queue.clear()
        self.tail = None
        self.lost_since = None
        self.link.flows.pop(self, None)
