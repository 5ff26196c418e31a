# One connection to a backend: requests of many clients joined, replies matched in order.

from libc.stdint cimport int64_t
from holdfast.proxy.shapes cimport Backend, Lane, Link
from holdfast.proxy.slots cimport Slot

cdef enum:
    OUT_PAUSE = 1 << 20         # clients wait while more request bytes than this could not be written

# The lane of a database and a protocol; made when it is first asked for.
cdef Lane lane_of(Backend backend, int database, int protocol)
# The shared connection for a client's number; opened when there is none.
cdef Link shared_link(Lane lane, size_t number)
# A connection for one client alone, and its return (closed if its state is not as new).
cdef Link private_link(Lane lane)
cdef int give_back(Link link, bint as_new) except -1

# Put a request of `n` bytes behind those that wait; the slot stands in the ring from now on.
cdef int link_send(Link link, Slot* slot, const char* p, size_t n) except -1
# The two halves of it, for a request that is composed in place or comes in pieces.
cdef int link_begin(Link link, Slot* slot) except -1
cdef int link_add(Link link, const char* p, size_t n) except -1
cdef int link_end(Link link, Slot* slot) except -1

cdef int link_made(Link link, object transport) except -1
cdef int link_take(Link link, const char* p, size_t n) except -1
cdef int link_flush(Link link) except -1
cdef int link_mark(Link link) except -1
cdef int link_room(Link link) except -1
cdef int link_timer_fired(Link link) except -1
# The connection ends: every request that waits gets an error (`text`, or errno's), or is routed anew if it
# was never written and the pool holds.
cdef int link_fail(Link link, int errno_, bytes text) except -1
# Let the server go on speaking after a slow client has caught up, or gone.
cdef int link_release_reading(Link link) except -1
