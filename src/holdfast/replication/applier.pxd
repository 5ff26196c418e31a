# The hot end of `upstream`: the primary's stream executed, forwarded, counted.

from libc.stdint cimport int64_t
from holdfast.engine.buf cimport Buf
from holdfast.engine.state cimport Engine, Session
from holdfast.replication.feed cimport StreamFeed
from holdfast.server.counters cimport Counters
from holdfast.server.machine_clock cimport MachineClock
from holdfast.server.poller cimport Taker

cdef class Applier(Taker):
    cdef Engine engine
    cdef StreamFeed stream
    cdef Counters counters
    cdef object clock               # the host's
    cdef MachineClock machine       # the same where it is the machine's own, read without Python; else None
    cdef object owner               # `Upstream`: is told of what is rare
    cdef readonly Session session   # None: no stream flows
    cdef public int database        # that the stream has selected at the end of its last whole unit
    cdef public bint is_bound       # a member set counts on this copy: each piece is acknowledged at once
    cdef public bint is_awaited     # somebody waits for the copy to reach a place
    cdef public bint acknowledges   # the end of this tick says how far this copy reaches
    cdef int64_t heard_us           # when the primary was last heard, on the boot clock; -1: never
    cdef Buf rest                   # a request of which more is to come
    cdef size_t needs               # bytes that it needs at least; 0: not known
    cdef Buf open_unit              # executed, of a MULTI whose EXEC is to come: not forwarded yet
    cdef int hear(self, size_t n) except -1
    cdef int apply(self, const char* p, size_t n) except -1
    cdef ssize_t execute(self, Session session, const char* p, size_t n) except -1
    cdef int settle(self, Session session, const char* p, size_t settled, size_t taken, list records) except -1
