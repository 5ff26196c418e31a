# A pool that follows its servers' roles: primaries that change, replicas that are read from.

from libc.stdint cimport int64_t
from holdfast.proxy.hash_pool cimport HashPool
from holdfast.proxy.shapes cimport Backend, Client, Link, Shard
from holdfast.proxy.slots cimport Slot

cdef enum ReadPolicy:
    READ_PRIMARY
    READ_REPLICA            # an error where no replica may be read from
    READ_PREFER_REPLICA
    READ_NEAREST            # by round trip, the primary among them

cdef class Standing:
    """What a pool knows of a server that is read from (Backend.facts)."""
    cdef public bint readable           # a replica in sync, as far as is known
    cdef public int64_t reached         # the newest sample of its primary that it has all of
    cdef public double fresh_at         # when that sample was asked for, s on the loop's clock
    cdef public double round_trip_s
    cdef public tuple opening           # requests that begin each of its connections

cdef class FollowingPool(HashPool):
    cdef public int policy              # ReadPolicy
    cdef public double lag_most_s       # a replica that lags more is not read from; 0: no ceiling
    cdef public bint own_writes         # a session reads what it wrote
    cdef public list sampled            # of each shard: how many samples of its primary were asked for
    cdef public object doubted          # callable(shard, backend): a primary was lost, or says it is none
    cdef set waiting, weary             # clients that wait for a primary; those that did so in vain
    cdef Backend read_from(self, Shard shard, Client client)
    cdef bint read_elsewhere(self, Link link, Shard shard, Slot* slot) except -1
    cdef int lose(self, Shard shard) except -1
