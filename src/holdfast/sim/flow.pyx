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

import errno

from holdfast.sim.course cimport Happening

OPEN = "open"
FIN = "fin"
RESET = "reset"

FIRST_RETRANSMISSION_SECONDS = 0.2
LONGEST_RETRANSMISSION_SECONDS = 120.0
GIVE_UP_SECONDS = 924.6
"""tcp_retries2 = 15: how long a sender tries before the connection is lost with ETIMEDOUT."""


def next_retransmission(double first_lost, double now):
    """Return when a sender whose first packet was lost at `first_lost` tries next, at or after `now`."""
    cdef double interval = FIRST_RETRANSMISSION_SECONDS
    cdef double moment = first_lost + interval
    while moment < now:
        interval = min(interval * 2, LONGEST_RETRANSMISSION_SECONDS)
        moment += interval
    return moment


cdef class Link:

    def __init__(self, double latency, double jitter):
        """Make an open link with `latency` and up to `jitter` more, in seconds."""
        self.latency = latency
        self.jitter = jitter
        self.flows = {}


cdef class Socket:

    cpdef read(self, _):
        """Hand unread bytes to the program, as far as it wants them."""
        raise NotImplementedError

    cpdef flush(self, _):
        """Send held bytes as far as the window has room."""
        raise NotImplementedError


cdef class Flow(Happening):
    """One direction of a connection."""

    def __init__(self, network, Link link, Socket source, Socket sink):
        """Open a direction over `link`."""
        self.loop = network.loop
        self.luck = network.luck
        self.link = link
        self.source = source
        self.sink = sink
        self.queue = []
        self.sent_at = -1.0
        self.window_bytes = network.window_bytes
        link.flows[self] = None

    cdef int send(self, bytes chunk) except -1:
        """Send bytes that the window has room for."""
        cdef double now = self.loop.now
        cdef Py_ssize_t size = len(chunk)
        self.outstanding += size
        if self.sent_at == now and self.tail is not None:
            self.tail.append(chunk)
            if self.link.bytes_per_second:
                self.link.free_at += size / self.link.bytes_per_second
            return 0
        self.sent_at = now
        self.tail = [chunk]
        return self.enqueue(self.tail, size)

    cpdef send_mark(self, mark):
        """Send OPEN or FIN."""
        self.tail = None
        self.enqueue(mark, 0)

    cdef int enqueue(self, item, Py_ssize_t size) except -1:
        cdef Link link = self.link
        cdef double now = self.loop.now, arrival = now + link.latency
        if link.jitter:
            arrival += link.jitter * <double>self.luck()
        if link.loss and <double>self.luck() < link.loss:
            arrival += FIRST_RETRANSMISSION_SECONDS
        if link.bytes_per_second:
            link.free_at = max(now, link.free_at) + size / link.bytes_per_second
            arrival += link.free_at - now
        if arrival < self.last_arrival:
            arrival = self.last_arrival
        self.last_arrival = arrival
        self.queue.append((arrival, item))
        if link.cut:
            self.lose()
        else:
            self.loop.let(arrival, self)
        return 0

    cdef int happen(self) except -1:
        """Hand what has arrived to the receiving kernel."""
        cdef Link link = self.link
        cdef list queue = self.queue
        cdef Socket sink = self.sink
        cdef double now = self.loop.now
        cdef bint arrived = False, breaks = False
        cdef tuple first
        if link.cut or sink.interface.down:
            if queue:
                self.lose()
            return 0
        if self.lost_since is not None:
            return 0
        while queue:
            first = <tuple>queue[0]
            if <double>first[0] > now:
                break
            del queue[0]
            item = first[1]
            if item is self.tail:
                self.tail = None
            if sink.closed:
                if item is not FIN:
                    sink.send_reset()
                self.retire()
                return 0
            if link.breaks_in_bytes is not None and type(item) is list:
                item, breaks = self.up_to_break(item, link.breaks_in_bytes)
            sink.unread.append(item)
            if item is FIN:
                link.flows.pop(self, None)
            arrived = True
            if breaks:
                break
        if arrived:
            sink.read(None)
        if breaks:
            self.break_here()
        return 0

    cdef tuple up_to_break(self, list item, Py_ssize_t room):
        """Return what arrives of a piece, and whether the connection breaks behind it."""
        cdef bytes chunk = b"".join(item)
        if len(chunk) < room:
            self.link.breaks_in_bytes = room - len(chunk)
            return item, False
        self.link.breaks_in_bytes = None
        return [chunk[:room]], True

    cdef int break_here(self) except -1:
        """Reset both ends, each as it hears of it; what was under way is gone."""
        self.retire()
        self.sink.reset()
        self.loop.push(self.loop.now + self.link.reverse.latency, self._source_hears, None)
        return 0

    def _source_hears(self, _):
        self.source.reset()

    cdef int consumed(self, Py_ssize_t size) except -1:
        """Give `size` bytes of window back: the program has read them."""
        if self.link.reverse.cut:
            self.unacknowledged += size
            return 0
        self.outstanding -= size
        if self.source.held and not self.release_due:
            self.release_due = True
            self.loop.push(self.loop.now + self.link.reverse.latency, self._release, None)
        return 0

    def acknowledge(self):
        """Let acknowledgements through that were lost so far."""
        cdef Py_ssize_t size = self.unacknowledged
        self.unacknowledged = 0
        if size:
            self.consumed(size)

    def _release(self, _):
        self.release_due = False
        self.source.flush(None)

    cdef int lose(self) except -1:
        if self.lost_since is None:
            self.lost_since = self.loop.now
            self.link.flows[self] = None
            if not self.source.gone:
                self.loop.push(self.loop.now + GIVE_UP_SECONDS, self._give_up, self.lost_since)
        return 0

    def _give_up(self, lost_since):
        if self.lost_since == lost_since:
            self.retire()
            self.source.fail(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))

    def path_opened(self):
        """Repeat what was lost, at the moment at which the sender's kernel tries again."""
        cdef double arrival
        if self.lost_since is None:
            return
        if self.source.gone:
            self.retire()
            return
        arrival = next_retransmission(self.lost_since, self.loop.now) + self.link.latency
        self.lost_since = None
        self.last_arrival = max(self.last_arrival, arrival)
        self.queue = [(arrival, item) for _, item in self.queue]
        self.tail = None
        self.loop.let(arrival, self)

    cpdef reset_sink(self):
        """Send a reset: nothing of it is repeated if it is lost."""
        self.inject_reset()
        self.retire()

    def inject_reset(self):
        """Let a reset come from the middle of the way; if a cut loses it, the connection lives on whole."""
        if not self.link.cut:
            self.loop.push(self.loop.now + self.link.latency, self._reset_arrives, None)

    def _reset_arrives(self, _):
        if not self.link.cut and not self.sink.interface.down:
            self.sink.reset()

    cpdef retire(self):
        """Forget the direction: nothing will come through it any more."""
        self.queue.clear()
        self.tail = None
        self.lost_since = None
        self.link.flows.pop(self, None)
