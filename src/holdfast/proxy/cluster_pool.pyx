"""A cluster behind one address: slots, and the errors by which its nodes redirect.

What it is: the data path. A key's slot is its ordinal, so that MGET and its kin are
split by slots, as nodes demand, and transactions stay within what a cluster allows;
each slot's place holds the shard that owns it. MOVED, ASK and TRYAGAIN say that a
request was not executed: it is sent where it belongs. What it is not: the map, and who
leads (`cluster_followers`).

Order. A request that came back is older than those that were not sent yet. While some
that were sent before are still on their way to the old owner, the new owner's shard
is gated: what comes for it is held, behind what came back (`redirected`).

How to read it: `slot_of`, then `redirect`.
"""

from libc.stdint cimport int64_t
from libc.string cimport memchr
from holdfast.engine.checksum cimport crc16
from holdfast.proxy.following_pool cimport FollowingPool
from holdfast.proxy.hold cimport hold_first, send_again
from holdfast.proxy.link cimport lane_of, link_add, link_begin, link_end, shared_link
from holdfast.proxy.shapes cimport Backend, Client, Lane, Link, Shard, Target
from holdfast.proxy.slots cimport SLOT_PART, SLOT_PLAIN, SLOT_RESENT, Slot

from holdfast.proxy.link import send_words

cdef bytes ASKING = b"*1\r\n$6\r\nASKING\r\n"


cdef int slot_of(const char* key, size_t n) noexcept nogil:
    cdef const char* start = <const char*>memchr(key, c'{', n)
    cdef const char* end
    if start != NULL:
        end = <const char*>memchr(start + 1, c'}', key + n - start - 1)
        if end != NULL and end > start + 1:
            return crc16(start + 1, end - start - 1) & (SLOTS - 1)
    return crc16(key, n) & (SLOTS - 1)


cdef class ClusterTarget(Target):
    """What a door leads to: a place for each slot."""

    def __init__(self, str name):
        self.name = name
        self.shards = []
        self.whole = []

    cdef int shard_of(self, const char* key, size_t n) noexcept:
        cdef int slot = slot_of(key, n)
        return slot if len(self.shards) == SLOTS else -1


cdef class ClusterPool(FollowingPool):
    """The shards of a cluster. `shards` only grows; `target` has those that own slots."""

    def __init__(self, exchange, name, **options):
        FollowingPool.__init__(self, exchange, name, **options)
        self.target = ClusterTarget(name)

    def add_shard(self, str name):
        """Return a new shard, without a primary and slots."""
        cdef Shard shard = Shard(self, name, <int>len(self.shards))
        self.shards.append(shard)
        self.sampled.append(0)
        return shard

    def take_slots(self, owners):
        """Take the owner of each slot; None: nobody has it. Slots that nobody has fail at once."""
        cdef Shard shard
        whole = {}
        for shard in owners:
            if shard is not None:
                whole[shard] = None
        self.target.shards = owners
        self.target.whole = list(whole)
        if self.target.changed is not None:
            self.target.changed()

    def give_slot(self, int slot, Shard shard):
        """One slot has moved."""
        self.target.shards[slot] = shard
        if shard not in self.target.whole:
            self.target.whole.append(shard)
        if self.target.changed is not None:
            self.target.changed()

    def behind_what_was_sent(self, Backend backend, passed):
        """Call `passed` once for each connection to a server when all that was sent on it is answered.

        Return how many connections that are."""
        cdef Lane lane
        cdef Link link
        count = 0
        for lane in list(backend.lanes.values()):
            for link in lane.links:
                if link is not None and not link.closed and link.ring.count:
                    count += 1
                    send_words(link, [b"PING"], passed)
        return count

    cdef bint take_error(self, Link link, Slot* slot, const char* line, size_t n) except -1:
        if slot.kind == SLOT_PLAIN or slot.kind == SLOT_PART:
            if (n > 7 and line[:7] == b"-MOVED ") or (n > 5 and line[:5] == b"-ASK ") \
                    or (n > 10 and line[:10] == b"-TRYAGAIN "):
                return self.redirect(link, slot, line[:n])
        return FollowingPool.take_error(self, link, slot, line, n)

    cdef bint redirect(self, Link link, Slot* slot, bytes line) except -1:
        cdef list words = line.split()
        cdef Shard shard
        if words[0] == b"-TRYAGAIN":
            if slot.request.len == 0 or not self.hold_ms or self.is_late(slot):
                return False
            shard = <Shard>self.shards[slot.ordinal]
            if shard._primary is not None:
                self.redirected(shard, None, -1, "", 0)
            hold_first(shard, slot)
            return True
        if len(words) < 3 or b":" not in words[2] or not words[1].isdigit() or int(words[1]) >= SLOTS:
            return False
        host, _, port = words[2].decode("utf-8", "replace").rpartition(":")
        host = host or link.lane.backend.host
        if not port.isdigit():
            return False
        if words[0] == b"-ASK":
            return slot.request.len != 0 and self.ask_there(link, slot, host, int(port))
        shard = self.redirected(None, link.lane.backend, int(words[1]), host, int(port))
        if slot.request.len == 0 or self.is_late(slot):
            return False
        if not self.hold_ms:
            if shard._primary is None:
                return False
            send_again(shared_link(lane_of(shard._primary, link.lane.database, link.lane.protocol), 0), slot)
            return True
        hold_first(shard, slot)
        return True

    cdef bint ask_there(self, Link link, Slot* slot, str host, int port) except -1:
        """The key may be at another node: ask there, this once."""
        cdef Shard shard
        cdef Link other
        cdef size_t number = 0
        shard = self.redirected(None, None, -1, host, port)
        if shard is None or self.is_late(slot):
            return False
        if slot.kind == SLOT_PLAIN and slot.client != NULL:
            number = (<Client>slot.client).number
        elif slot.kind == SLOT_PART and slot.whole.client != NULL:
            number = (<Client>slot.whole.client).number
        backend = self.server_of(shard)
        if backend is None:
            return False
        if slot.held_until_ms == 0 and self.hold_ms:
            slot.held_until_ms = <int64_t>(self.exchange.loop.time() * 1000) + self.hold_ms
        other = shared_link(lane_of(<Backend>backend, link.lane.database, link.lane.protocol), number)
        slot.flags |= SLOT_RESENT
        slot.skip = slot.skips + 1
        slot.reply.len = 0
        slot.excuse.len = 0
        slot.mark = 0
        link_begin(other, slot)
        link_add(other, ASKING, len(ASKING))
        link_add(other, slot.request.ptr, slot.request.len)
        link_end(other, slot)
        return True

    cdef bint is_late(self, Slot* slot) except -1:
        """Whether a request has been sent from node to node for too long."""
        return slot.held_until_ms != 0 and slot.held_until_ms < <int64_t>(self.exchange.loop.time() * 1000)

    def server_of(self, Shard shard):
        """Return the server that leads a shard, as far as is known; the followers know better."""
        return shard._primary
