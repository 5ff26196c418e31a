# The hot ends of `stream` and `remote_replica`: bytes into the backlog, and on to every replica.

from libc.stdint cimport int64_t
from holdfast.engine.effects cimport EffectSink
from holdfast.engine.state cimport Engine
from holdfast.replication.backlog cimport Backlog, Reader
from holdfast.server.connection cimport Connection
from holdfast.server.counters cimport Counters

# One replica: a place in the stream and the connection that it is sent on.
cdef class ReplicaFeed:
    cdef readonly Connection connection
    cdef Counters counters
    cdef public Backlog backlog
    cdef public Reader reader       # None: it needs nothing of the stream
    cdef public bint is_online      # the stream flows to it
    cdef public bint is_gone
    # Send of the stream what the transport takes.
    cdef int feed(self) except -1

# The stream of one node.
cdef class StreamFeed(EffectSink):
    cdef Engine engine
    cdef public bint is_forwarding  # the bytes are a primary's; what this node makes is for its own files only
    cdef public int64_t forwarded   # where the stream ends while it is
    cdef public Backlog backlog     # None: nobody is fed
    cdef readonly list replicas     # of ReplicaFeed
    cdef readonly bint has_unsent   # something came in since the last `send`
    # Add what the primary sent and this node has applied, verbatim.
    cdef int forward(self, const char* p, size_t n) except -1
    cdef int add(self, const char* p, size_t n) except -1
    cdef int send_all(self) except -1
