# One request: where it goes.

from holdfast.engine.state cimport Call
from holdfast.proxy.shapes cimport Client, Link, Shard, Verb
from holdfast.proxy.slots cimport Slot

cdef enum:                  # in the place of a shard's ordinal
    NO_SHARD = -1           # no server is alive for the key
    SHARDS_DIFFER = -2
    NO_KEYS = -3
    BAD_KEYS = -4

# Route one request. 1: it is on its way or answered; 0: not yet, the client waits until it is idle.
cdef int route(Client client, Call* c) except -1
# Send a slot's request to a shard, by the policy of its pool; it may have to wait there.
cdef int send(Client client, Shard shard, Slot* slot, const char* p, size_t n, bint writes) except -1

# What the other modules of routing share: answers of our own, a slot for a request that goes on, its shard.
cdef int answer_locally(Client client, Call* c) except -1
cdef int answer_error(Client client, bytes text) except -1
cdef Slot* plain_slot(Client client) except NULL
cdef int shared_shard(Client client, Call* c, Verb* verb) except -5
cdef int to_ordinal(Client client, Call* c, Verb* verb, int ordinal) except -1
cdef int wait_for_room(Client client, Link link) except -1
