# One request: where it goes.

from holdfast.engine.state cimport Call
from holdfast.proxy.shapes cimport Client, Link, Shard
from holdfast.proxy.slots cimport Slot

# Route one request. 1: it is on its way or answered; 0: not yet, the client waits until it is idle.
cdef int route(Client client, Call* c) except -1
# Send a slot's request to a shard, by the policy of its pool; it may have to wait there.
cdef int send(Client client, Shard shard, Slot* slot, const char* p, size_t n, bint writes) except -1
# A request too large to be gathered: begin to pass it on as it arrives (False: it cannot be), and go on with it.
cdef bint begin_stream(Client client, const char* p, size_t n) except -1
cdef size_t pass_stream(Client client, const char* p, size_t n) except <size_t>-1
