# Connections of a client's own: blocking commands, watched keys, huge requests.

from holdfast.engine.state cimport Call
from holdfast.proxy.shapes cimport Client, Link, Shard, Verb

# Give the client a connection to a shard; None: there is no backend now.
cdef Link pin(Client client, int ordinal, bint writes)
# Of what cannot stand in the queue of held requests: whether the client waits for a primary before it begins.
cdef bint awaits_primary(Client client, Shard shard) except -1
# Close the client's own connection, with whatever state it has.
cdef int leave_pinned(Client client) except -1
# A blocking command. 0: not yet, the client waits until it is idle.
cdef int own_connection(Client client, Call* c, Verb* verb) except -1
# A request too large to be gathered: begin to pass it on as it arrives (False: it cannot be); go on with it.
cdef bint begin_stream(Client client, const char* p, size_t n) except -1
cdef size_t pass_stream(Client client, const char* p, size_t n) except <size_t>-1
