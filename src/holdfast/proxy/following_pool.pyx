"""A pool that follows its servers' roles: primaries that change, replicas that are read from.

What it is: what Sentinel groups and clusters have in common on the data path. A
primary that is lost, or that answers as a replica would, is doubted: its shard has
none until somebody (`doubted`) finds it out, and requests are held meanwhile. What it
is not: that finding out (`roles`, `sentinel_pool`, `cluster_pool`).

What is sent again (rule 24 of docs/acknowledgement.md): errors that say that the
request was certainly not executed, and only while its bytes are kept. NOACK, a reset
and a timeout are never among them.

Reads. By policy they go to the primary, to replicas, or to the nearest. A replica may
be read from while it is in sync and, with a ceiling, has all that its primary had
executed `lag_most_s` ago. Read-your-writes: with its first write to a shard a session
is bound to the primary of it. When it reads and waits for nothing, all its writes
are answered, so executed: from then on a replica will do that has reached a sample
of the primary's offset which was asked for later. Samples are counted, not timed: no
clock is part of the guarantee.

How to read it: `take_error`, `backend_failed`, then `read_from`.
"""

from libc.stdint cimport int64_t
from holdfast.proxy.hash_pool cimport HashPool
from holdfast.proxy.hold cimport hold_first, send_again
from holdfast.proxy.link cimport lane_of, shared_link
from holdfast.proxy.shapes cimport Backend, Client, Link, Shard
from holdfast.proxy.slots cimport SLOT_PART, SLOT_PLAIN, SLOT_WRITES, Slot

from holdfast.proxy.hold import refuse_all
from holdfast.server.clients import PROXY

cdef enum:
    UNSETTLED = -1              # a session's writes may still be on their way

INTRODUCTION = ((b"CLIENT", b"SETINFO", b"LIB-NAME", PROXY),)
"""A node of ours that leads no more does not close on us: we leave when we know the next primary."""
cdef bytes ABORTED = b"-EXECABORT Transaction discarded because of: "


cdef inline bint begins(const char* line, size_t n, const char* word, size_t size) noexcept:
    return n >= size and line[:size] == word[:size]


cdef bint not_executed(const char* line, size_t n) noexcept:
    """Whether an error line says that the request was certainly not executed, but may be elsewhere."""
    cdef size_t skip = len(ABORTED)
    if begins(line, n, ABORTED, skip):
        line += skip
        n -= skip
    else:
        line += 1
        n -= 1
    return (
        begins(line, n, b"READONLY ", 9) or begins(line, n, b"NOLEASE ", 8) or begins(line, n, b"LOADING ", 8)
        or begins(line, n, b"MASTERDOWN ", 11) or begins(line, n, b"CLUSTERDOWN ", 12)
        or begins(line, n, b"FENCED ", 7))


cdef class Standing:
    """What a pool knows of a server that is read from."""

    def __init__(self):
        self.reached = -1
        self.round_trip_s = 1e9
        self.opening = INTRODUCTION


cdef class FollowingPool(HashPool):
    """Shards whose primaries change."""

    def __init__(self, exchange, name, **options):
        HashPool.__init__(self, exchange, name, **options)
        self.sampled = []
        self.own_writes = True
        self.lag_most_s = 1.0
        self.waiting = set()
        self.weary = set()

    def lay_out_shards(self, shards, weights):
        """Take the shards, whose primaries are not known yet; a hash shares out the keys among them."""
        cdef Shard shard
        self.shards = shards
        self.sampled = [0] * len(shards)
        self.servers = [(shard.name.encode(), weight) for shard, weight in zip(shards, weights)]
        self.lay_out()

    def live(self):
        """Return of each shard that it is not ejected: none ever is."""
        return [True] * len(self.shards)

    def open_server(self, str host, int port):
        """Return a new backend."""
        cdef Backend backend = Backend(self, f"{host}:{port}", host, port)
        backend.facts = Standing()
        return backend

    def open_replica(self, str host, int port):
        """Return a new backend that is read from."""
        return self.open_server(host, port)

    def let_wait(self, Client client):
        """Let a client wait with what cannot be held (WATCH, SELECT ...); False: it did, in vain."""
        if client in self.weary:
            self.weary.discard(client)
            return False
        if client not in self.waiting:
            self.waiting.add(client)
            self.exchange.loop.call_later(self.hold_ms / 1000.0, self.give_up, client)
        return True

    def give_up(self, Client client):
        """A client has waited long enough."""
        if client in self.waiting:
            self.waiting.discard(client)
            if not client.closed:
                self.weary.add(client)
                self.exchange.resume(client)

    def wake(self):
        """A primary is known: who waits looks again."""
        waiting = self.waiting
        self.waiting = set()
        for client in waiting:
            self.exchange.resume(client)

    def refuse_held(self, Shard shard):
        """Answer what is held with an error."""
        refuse_all(shard, b"-ERR Connection refused\r\n")

    # ---- errors ----

    cdef bint take_error(self, Link link, Slot* slot, const char* line, size_t n) except -1:
        cdef Shard shard
        cdef Backend backend = link.lane.backend
        if not not_executed(line, n) or (slot.kind != SLOT_PLAIN and slot.kind != SLOT_PART):
            return False
        if slot.request.len == 0:
            for shard in self.shards:
                if shard._primary is backend:
                    self.lose(shard)
            return False
        shard = <Shard>self.shards[slot.ordinal]
        if backend is not shard._primary and not slot.flags & SLOT_WRITES:
            return self.read_elsewhere(link, shard, slot)
        if backend is shard._primary:
            self.lose(shard)
        if not self.hold_ms:
            return False
        hold_first(shard, slot)
        return True

    cdef bint read_elsewhere(self, Link link, Shard shard, Slot* slot) except -1:
        """A replica cannot answer now: the primary can."""
        if type(link.lane.backend.facts) is Standing:
            (<Standing>link.lane.backend.facts).readable = False
        if shard._primary is None or shard.held.count:
            if not self.hold_ms:
                return False
            hold_first(shard, slot)
            return True
        send_again(
            shared_link(
                lane_of(shard._primary, link.lane.database, link.lane.protocol),
                (<Client>slot.client).number if slot.kind == SLOT_PLAIN and slot.client != NULL else 0),
            slot)
        return True

    cdef int backend_failed(self, Backend backend, int errno_) except -1:
        cdef Shard shard
        if type(backend.facts) is Standing:
            (<Standing>backend.facts).readable = False
        for shard in self.shards:
            if shard._primary is backend:
                self.lose(shard)
        return 0

    cdef int lose(self, Shard shard) except -1:
        """The primary is doubted: nothing is sent to it until it is known again."""
        cdef Backend backend = shard._primary
        shard._primary = None
        if self.doubted is not None:
            self.doubted(shard, backend)
        return 0

    # ---- which server ----

    cdef Backend backend_for(self, Shard shard, bint writes, Client client):
        if self.policy == READ_PRIMARY:
            return shard._primary
        if writes:
            if self.own_writes:
                if client.memory is None:
                    client.memory = {}
                (<dict>client.memory)[shard] = UNSETTLED
            return shard._primary
        return self.read_from(shard, client)

    cdef Backend read_from(self, Shard shard, Client client):
        cdef Backend backend, found = None
        cdef Standing standing
        cdef int64_t beyond = UNSETTLED
        cdef int place, count = <int>len(shard.replicas)
        cdef double now
        if client.memory is not None and shard in <dict>client.memory:
            beyond = (<dict>client.memory)[shard]
            if beyond == UNSETTLED:
                if client.pending <= 1:
                    (<dict>client.memory)[shard] = self.sampled[shard.ordinal]
                return shard._primary
        now = self.exchange.loop.time()
        for place in range(count):
            # A client begins with its own replica: its reads go back in time only when that one fails.
            backend = <Backend>shard.replicas[(place + client.number) % count]
            standing = <Standing>backend.facts
            if not standing.readable or standing.reached <= beyond:
                continue
            if self.lag_most_s and now - standing.fresh_at > self.lag_most_s:
                continue
            if self.policy != READ_NEAREST:
                return backend
            if found is None or standing.round_trip_s < (<Standing>found.facts).round_trip_s:
                found = backend
        if found is None:
            if self.policy == READ_REPLICA and beyond == UNSETTLED:
                return None
            return shard._primary
        if shard._primary is None:
            return found
        standing = <Standing>shard._primary.facts
        return shard._primary if standing.round_trip_s < (<Standing>found.facts).round_trip_s else found
