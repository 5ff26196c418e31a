# Reading without the loop's help: one epoll set for all connections of a proxy.

cdef class Poller:
    cdef int fd                 # of the set; -1: there is none here
    cdef dict watched           # descriptor: Client or Link
    cdef object loop
    # Watch a connection for bytes, or (paused) only for its death.
    cdef bint watch(self, int descriptor, object connection, bint paused) except -1
    cdef int change(self, int descriptor, bint paused) except -1
    cdef int forget(self, int descriptor) except -1
