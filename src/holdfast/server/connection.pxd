# The connection: one client's socket and its session.

from holdfast.engine.state cimport Engine, Session
from holdfast.server.poller cimport Polled

cdef class Connection(Polled):
    cdef readonly Session session
    cdef object node                # connection_opened(connection), connection_closed(connection, why)
    cdef object read_buffer         # shared by the node's connections: bytes live in it only inside a call
    cdef char* read_start
    # bytes of unexecuted input when the client had ended; no fewer now: no more to do
    cdef size_t left_at_end
    cdef void hold_reading(self) noexcept
    cdef bint must_hold(self) noexcept
    cpdef flush(self)
    cpdef abort(self)
    cpdef finish(self)
    cpdef send(self, chunk)
    cpdef refuse(self, bytes message)

# Hand out the replies of every session that has some (the end of a tick).
cdef int hand_out_replies(Engine engine) except -1
