# One run of a process.

from holdfast.sim.clock cimport HostClock, Running

cdef class Life(Running):
    cdef public str name
    cdef public object loop, interface
    cdef public HostClock clock
    cdef public bint blocked, paused, dead
    cdef public list parked             # callbacks that wait: bytes and tasks first
    cdef public list late_timers
    cdef public list tasks
    cdef public Py_ssize_t sweep_at     # tasks, when the ended ones are let go
    cdef public dict endpoints, listeners
    cdef public dict readable           # endpoints with bytes that nobody could take
    cdef public double read_bytes_per_second
    cdef public object exception_handler, exit_handler
    cdef public dict signal_handlers
    cdef public object context
