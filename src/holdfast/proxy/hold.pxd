# Requests that wait for a backend, in their order (rule 24 of docs/acknowledgement.md).

from holdfast.proxy.shapes cimport Link, Pool, Shard
from holdfast.proxy.slots cimport Ring, Slot

# Let a request wait for the shard's primary; it fails when too much waits, or for too long.
cdef int hold(Shard shard, Slot* slot, const char* p, size_t n) except -1
# Send what waits: there is a primary.
cdef int hold_release(Shard shard) except -1
# Of requests whose connection was lost before they were written: may this one wait; put them in front.
cdef bint may_hold_again(Pool pool, Slot* slot) noexcept
cdef int hold_again(Pool pool, Ring* slots) except -1
# Keep a request's bytes until it is answered, if the pool wants that and it is not huge.
cdef void keep(Pool pool, Slot* slot, const char* p, size_t n) noexcept
# Send a kept request once more, to a backend of the policy's choice.
cdef int send_again(Link link, Slot* slot) except -1
# The answer said "not executed" (READONLY, LOADING ...): wait for the next primary, before all later ones.
cdef int hold_first(Shard shard, Slot* slot) except -1
