# A cluster behind one address: slots, and the errors by which its nodes redirect.

from holdfast.proxy.following_pool cimport FollowingPool
from holdfast.proxy.shapes cimport Link, Target
from holdfast.proxy.slots cimport Slot

cdef enum:
    SLOTS = 16384

# The slot of a key, by its hash tag where it has one.
cdef int slot_of(const char* key, size_t n) noexcept nogil

cdef class ClusterTarget(Target):
    """Its `shards` has a place for each slot, so requests are split by slots; `whole` each shard once."""
    cdef public list whole
    cdef public object changed          # callable(): the slots have moved

cdef class ClusterPool(FollowingPool):
    cdef readonly ClusterTarget target
    # callable(shard, source backend, slot, host, port): learn, and gate the shard
    cdef public object redirected
    cdef bint redirect(self, Link link, Slot* slot, bytes line) except -1
    cdef bint ask_there(self, Link link, Slot* slot, str host, int port) except -1
    cdef bint is_late(self, Slot* slot) except -1
