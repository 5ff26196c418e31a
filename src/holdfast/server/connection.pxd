# The connection: one client's transport and its session.

from holdfast.engine.state cimport Engine, Session

cdef class Connection:
    cdef object __weakref__
    cdef readonly Session session
    cdef readonly object transport
    cdef object node                # connection_opened(connection), connection_closed(connection, why)
    cdef object read_buffer         # shared by the node's connections: bytes live in it only inside a call
    cdef char* read_start
    cdef bint blocked_writing       # the transport's buffer is above its high mark
    cdef bint paused_reading
    cdef bint closed
    # bytes of unexecuted input when the client had ended; no fewer now: no more to do
    cdef size_t left_at_end
    cdef int take(self, const char* p, size_t n) except -1
    cdef void hold_reading(self) noexcept
    cdef bint must_hold(self) noexcept
    cpdef flush(self)
    cpdef abort(self)
    cpdef refuse(self, bytes message)
