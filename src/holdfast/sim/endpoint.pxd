# One end of a connection: the asyncio transport and the socket below it.

from holdfast.sim.course cimport Course
from holdfast.sim.flow cimport Flow, Socket
from holdfast.sim.life cimport Life

cdef class Endpoint(Socket):
    cdef public object network, listener
    cdef readonly Life life
    cdef Course loop
    cdef Flow out
    cdef public Flow into
    cdef object context
    cdef readonly tuple sockname, peername
    cdef object protocol, received          # the protocol, and its `data_received`; None: it gives a buffer
    cdef readonly Py_ssize_t held_bytes
    cdef Py_ssize_t high_water, low_water   # bytes
    cdef bint reading, closing, read_due
    cdef bint is_lost                       # the program has been told, or soon will be
    cdef bint eof_written, fin_sent, protocol_paused
    cdef bint broken                        # the peer has reset the connection; the program may not know yet
    cpdef send_reset(self)
    cpdef shut_socket(self)
    cpdef fail(self, error)
    cpdef reset(self)
    cpdef write(self, data)
    cdef int read_bytes(self, list unread) except -1
    cdef int give(self, bytes received) except -1
    cdef int fill_buffer(self, bytes received) except -1
    cdef int read_eof(self) except -1
    cdef int protocol_failed(self, error, where) except -1
    cdef int lose_soon(self, error) except -1
    cdef int send_fin(self) except -1
    cdef int leave_backlog(self) except -1
    cdef int report(self, str what) except -1
    cdef int tell(self, str method) except -1
