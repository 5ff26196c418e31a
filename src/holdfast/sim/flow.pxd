# One direction of a connection, and the link that it goes over.

from holdfast.sim.course cimport Course, Happening

cdef class Link:
    """One direction between two hosts. Fields may be changed at any time."""
    cdef public double latency, jitter      # seconds
    cdef public double loss                 # likelihood that a packet has to be sent twice
    cdef public double bytes_per_second     # bandwidth, shared by all connections; 0 is unlimited
    cdef public double free_at
    cdef public bint cut
    cdef public object breaks_in_bytes      # the connection that carries this byte is reset behind it
    cdef public dict flows
    cdef public Link reverse

cdef class Socket:
    """An end of a connection, as its two directions see it."""
    cdef public object interface
    cdef public list held                   # the program's write buffer
    cdef public list unread                 # the kernel's receive buffer: lists of bytes, and marks
    cdef public bint closed                 # the process has let go of it
    cdef public bint gone                   # its host has lost power
    cpdef read(self, _)
    cpdef flush(self, _)

cdef class Flow(Happening):
    cdef Course loop
    cdef object luck
    cdef public Link link
    cdef Socket source, sink
    cdef list queue                         # (arrival, list of bytes or mark)
    cdef list tail                          # what is written in one instant travels together
    cdef double sent_at, last_arrival       # virtual seconds
    cdef object lost_since                  # virtual seconds, None: nothing is lost
    cdef Py_ssize_t outstanding             # bytes that the window is charged with
    cdef Py_ssize_t unacknowledged          # bytes of them that were read
    cdef Py_ssize_t window_bytes
    cdef bint release_due
    cdef int send(self, bytes chunk) except -1
    cdef int enqueue(self, item, Py_ssize_t size) except -1
    cdef tuple up_to_break(self, list item, Py_ssize_t room)
    cdef int break_here(self) except -1
    cdef int consumed(self, Py_ssize_t size) except -1
    cdef int lose(self) except -1
    cpdef send_mark(self, mark)
    cpdef retire(self)
    cpdef reset_sink(self)
