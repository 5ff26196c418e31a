# Clients: requests in, replies out in the order of the requests.

from libc.stdint cimport int64_t
from holdfast.engine.state cimport Call
from holdfast.proxy.shapes cimport Client, Link
from holdfast.proxy.slots cimport Slot

cdef int client_made(Client client, object transport) except -1
cdef int client_take(Client client, const char* p, size_t n) except -1
cdef int client_resume(Client client) except -1
cdef int client_flush(Client client) except -1
cdef int client_ended(Client client) except -1
cdef int client_abort(Client client) except -1
cdef int client_gone(Client client, object why) except -1

# A slot at the end of the client's order.
cdef Slot* client_slot(Client client, int kind) except NULL
# What was written to the session's output from `begin` on is the answer to a request of now:
# it goes behind those that are still to come.
cdef int client_answered(Client client, size_t begin) except -1
# The client goes on when nothing is pending any more.
cdef int client_pause(Client client) except -1

# Of whatever kind the slot is: bytes of its reply, its end, an error in its place.
cdef int slot_bytes(Slot* slot, const char* p, size_t n) except -1
cdef int slot_end(Slot* slot) except -1
cdef int slot_fail(Slot* slot, const char* line, size_t n) except -1
# False: more than `most` bytes wait for the client, the connection should read no more.
cdef bint slot_keeps_streaming(Link link, Slot* slot, size_t most) noexcept
