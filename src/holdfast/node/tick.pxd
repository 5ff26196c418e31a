# The pulse of a data node.

from libc.stdint cimport int64_t
from holdfast.engine.pulse cimport Pulse
from holdfast.engine.state cimport Engine
from holdfast.replication.lease_watch cimport LeaseWatch
from holdfast.replication.tick cimport ReplicationTick
from holdfast.server.counters cimport Counters
from holdfast.server.machine_clock cimport MachineClock
from holdfast.server.poller cimport Poller

cdef class Tick(Pulse):
    cdef Engine engine
    cdef object clock               # the host's
    cdef MachineClock machine       # the same where it is the machine's own, read without Python; else None
    cdef LeaseWatch lease
    cdef ReplicationTick replication
    cdef Counters counters
    cdef object cluster             # None outside of cluster mode
    cdef object keeper, writer      # the files, and the writer of the append-only file
    cdef object log_is_off          # the writer's state that says so
    cdef list sinks
    cdef object loop                # set by `start`, with the poller
    cdef Poller poller
    cdef object deadline            # the timer of the first parked session that times out
    cdef object deadline_ms
    cdef int64_t began_us           # of a tick that is timed; 0: this one is not
    cdef bint has_log(self) except -1
    cdef int finish(self, bint has_log) except -1
    cdef int watch_deadlines(self) except -1
    cdef int64_t wall_us(self) except? -1
    cdef int64_t boot_us(self) except? -1
