"""The pool of nutcracker.yml: servers shared out by a hash of the key.

What it is: hash tag, hash and distribution as twemproxy has them, and its
auto-ejection: a server that failed `server_failure_limit` times in a row leaves
the circle for `server_retry_timeout`; the keys it had go to the others meanwhile.
What it is not: connections, or the bytes of requests.

`take_servers` may be called again (a reload): servers that are in both lists keep
their connections; those that are gone are given back to the caller, who closes
them when nobody waits for them any more.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memchr
from holdfast.proxy.key_hashes cimport hash_named
from holdfast.proxy.shapes cimport Backend, Link, Pool, Shard
from holdfast.proxy.slots cimport Slot

from holdfast.proxy.distribution import Distribution
from holdfast.proxy.hold import refuse_all

cdef enum:
    NO_SHARD = -1


cdef class HashPool(Pool):
    """Servers that share out the keys by a hash, each a shard of its own."""

    def __init__(
            self, exchange, name, *, str hash_name="fnv1a_64", str distribution="ketama", bytes hash_tag=b"",
            password=None, int database=0, int connections=1, int timeout_ms=0, bint ejects=False,
            int retry_ms=30000, int failure_limit=2, seed=1):
        Pool.__init__(self, exchange, name)
        self.hash_key = hash_named(hash_name)
        if self.hash_key == NULL:
            raise ValueError(f"no such hash: {hash_name}")
        self.distribution = Distribution(distribution, seed)
        if len(hash_tag) == 2:
            self.has_tag = True
            self.tag_begin, self.tag_end = (<const char*>hash_tag)[0], (<const char*>hash_tag)[1]
        self.password = password
        self.database = database
        self.connections = connections
        self.timeout_ms = timeout_ms
        self.ejects = ejects
        self.retry_ms = retry_ms
        self.failure_limit = failure_limit
        self.servers = []
        self.retry_at = []

    def take_servers(self, servers):
        """Begin with (name, host or path, port or 0, weight) each, and return the backends that are gone."""
        cdef Shard shard
        known = {(shard.name, shard._primary.host, shard._primary.port): shard for shard in self.shards}
        shards = []
        for name, host, port, weight in servers:
            shard = known.pop((name, host, port), None)
            if shard is None:
                shard = Shard(self, name, 0)
                shard.primary = Backend(self, name, host, port, weight)
            shard._primary.weight = weight
            shard.ordinal = len(shards)
            shards.append(shard)
        self.shards = shards
        self.servers = [(name.encode(), weight) for name, _, _, weight in servers]
        self.retry_at = [0.0] * len(shards)
        for shard in shards:
            shard._primary.ejected = False
        self.lay_out()
        for shard in known.values():
            refuse_all(shard, b"-ERR Connection refused\r\n")
        return [shard.primary for shard in known.values()]

    def lay_out(self):
        """Build the circle of those that are alive."""
        self.is_alone = len(self.shards) == 1
        self.distribution.rebuild(self.servers, self.live())

    def live(self):
        """Return of each server whether it is not ejected."""
        cdef Shard shard
        return [not shard._primary.ejected for shard in self.shards]

    cdef int shard_of(self, const char* key, size_t n) noexcept:
        cdef const char* start
        cdef const char* end
        cdef uint32_t hashed = 0
        if self.distribution.point_count == 0:
            return NO_SHARD
        if self.is_alone:
            return 0
        if self.has_tag:
            start = <const char*>memchr(key, self.tag_begin, n)
            if start != NULL:
                end = <const char*>memchr(start + 1, self.tag_end, key + n - start - 1)
                if end != NULL and end - start > 1:
                    key = start + 1
                    n = end - key
        if n:
            hashed = self.hash_key(<const unsigned char*>key, n)
        return <int>self.distribution.dispatch(hashed)

    # ---- ejection ----

    cdef bint take_error(self, Link link, Slot* slot, const char* line, size_t n) except -1:
        # As with twemproxy a server that is full, busy or loading counts as failing; the error goes on.
        if self.ejects and n > 4 and (line[:4] == b"-OOM" or line[:5] == b"-BUSY" or line[:5] == b"-LOAD"):
            if line[:8] != b"-BUSYKEY":
                self.backend_failed(link.lane.backend, 0)
        return False

    cdef int backend_failed(self, Backend backend, int errno_) except -1:
        cdef Shard shard
        if not self.ejects or backend.ejected:
            return 0
        if errno_ == 0 and backend.failures == 0:
            backend.failures = 1
        if backend.failures < self.failure_limit:
            return 0
        for shard in self.shards:
            if shard._primary is backend:
                self.eject(shard)
        return 0

    def eject(self, Shard shard):
        """Leave a server out for a while."""
        loop = self.exchange.loop
        shard._primary.ejected = True
        shard._primary.failures = 0
        shard._primary.server_ejected_at = self.exchange.node.wall_us()
        self.server_ejects += 1
        self.retry_at[shard.ordinal] = loop.time() + self.retry_ms / 1000.0
        self.lay_out()
        self.exchange.node.tell_ejected(self.name, shard.name, self.retry_ms)
        if self.revival is None:
            self.revival = loop.call_later(self.retry_ms / 1000.0, self.revive)

    def revive(self):
        """Take servers back whose time is over."""
        cdef Shard shard
        loop = self.exchange.loop
        now = loop.time() + 0.001
        self.revival = None
        waiting = []
        for shard in self.shards:
            if shard._primary.ejected:
                if self.retry_at[shard.ordinal] <= now:
                    shard._primary.ejected = False
                else:
                    waiting.append(self.retry_at[shard.ordinal])
        self.lay_out()
        if waiting:
            self.revival = loop.call_at(min(waiting), self.revive)

    def retire(self):
        """Stop the timer: the pool is not used any more."""
        if self.revival is not None:
            self.revival.cancel()
            self.revival = None
