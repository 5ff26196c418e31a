"""Reading without the loop's help: one epoll set for all connections of a proxy.

What it is: a short cut. The loop calls a protocol through several layers for each
connection that has bytes; for a proxy at pipeline 1 that is a third of its work
outside the kernel. So the descriptors stand in an epoll set of their own, the loop
watches that set's descriptor, and one call of it reads from all that are ready.
What it is not: a loop. Connections are made and closed, and what a socket does not
take at once is written, by asyncio's transports. Where there is no epoll or no
descriptor (macOS, the simulator) `watch` says so and the transport reads.

Bytes go to the same functions either way: `client_take`, `link_take`.
"""

from holdfast.proxy.client cimport client_take
from holdfast.proxy.link cimport link_take
from holdfast.proxy.shapes cimport Client, Exchange, Link

cdef extern from *:
    """
    #include <errno.h>
    #include <string.h>
    #include <unistd.h>
    #if defined(__linux__)
    #include <sys/epoll.h>
    #define hf_poll_new() epoll_create1(EPOLL_CLOEXEC)
    static int hf_poll_set(int set, int how, int descriptor, int reads) {
        struct epoll_event event;
        memset(&event, 0, sizeof(event));
        event.events = reads ? EPOLLIN : 0;
        event.data.fd = descriptor;
        return epoll_ctl(set, how == 0 ? EPOLL_CTL_ADD : how == 1 ? EPOLL_CTL_MOD : EPOLL_CTL_DEL,
                         descriptor, &event);
    }
    /* Who is ready: descriptors, and whether there is something to read (else the connection died). */
    static int hf_poll_wait(int set, int* descriptors, int* reads, int most) {
        struct epoll_event events[256];
        int i, n = epoll_wait(set, events, most < 256 ? most : 256, 0);
        for (i = 0; i < n; i++) {
            descriptors[i] = events[i].data.fd;
            reads[i] = (events[i].events & EPOLLIN) != 0;
        }
        return n;
    }
    #else
    #define hf_poll_new() (-1)
    static int hf_poll_set(int set, int how, int descriptor, int reads) { return -1; }
    static int hf_poll_wait(int set, int* descriptors, int* reads, int most) { return 0; }
    #endif
    static ssize_t hf_read(int descriptor, void* to, size_t most) {
        ssize_t n;
        do n = read(descriptor, to, most); while (n < 0 && errno == EINTR);
        return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? -2 : n;
    }
    """
    int hf_poll_new() nogil
    int hf_poll_set(int set, int how, int descriptor, int reads) nogil
    int hf_poll_wait(int set, int* descriptors, int* reads, int most) nogil
    ssize_t hf_read(int descriptor, void* to, size_t most) nogil
cdef extern from "unistd.h":
    int close_descriptor "close"(int descriptor) nogil

cdef enum:
    READY_MOST = 256
    READ_BYTES = 64 * 1024      # as large as the buffers of Exchange


cdef class Poller:
    """The epoll set of one proxy."""

    def __init__(self, loop):
        self.loop = loop
        self.watched = {}
        self.fd = hf_poll_new()
        if self.fd >= 0:
            try:
                loop.add_reader(self.fd, self.ready)
            except (NotImplementedError, AttributeError):
                self.close()

    def close(self):
        """Give the set back."""
        if self.fd >= 0:
            try:
                self.loop.remove_reader(self.fd)
            except (NotImplementedError, AttributeError):
                pass
            close_descriptor(self.fd)
            self.fd = -1
        self.watched = {}

    cdef bint watch(self, int descriptor, object connection, bint paused) except -1:
        if self.fd < 0 or hf_poll_set(self.fd, 0, descriptor, not paused) < 0:
            return False
        self.watched[descriptor] = connection
        return True

    cdef int change(self, int descriptor, bint paused) except -1:
        hf_poll_set(self.fd, 1, descriptor, not paused)
        return 0

    cdef int forget(self, int descriptor) except -1:
        if self.watched.pop(descriptor, None) is not None and self.fd >= 0:
            hf_poll_set(self.fd, 2, descriptor, 0)
        return 0

    def ready(self):
        """Read from every connection that has bytes."""
        cdef int descriptors[READY_MOST]
        cdef int reads[READY_MOST]
        cdef int count = hf_poll_wait(self.fd, descriptors, reads, READY_MOST)
        cdef int i
        for i in range(count):
            connection = self.watched.get(descriptors[i])
            if connection is None:
                continue
            if type(connection) is Client:
                self.read_client(<Client>connection, reads[i])
            else:
                self.read_link(<Link>connection, reads[i])

    def read_client(self, Client client, bint reads):
        """Take what a client sent."""
        cdef ssize_t n = hf_read(client.fd, client.exchange.client_start, READ_BYTES) if reads else -1
        if n > 0:
            client_take(client, client.exchange.client_start, n)
        elif n == 0:
            self.forget(client.fd)
            client.polled = False
            client.eof_received()
        elif n == -1:
            client.door.client_err += 1
            client.abort()

    def read_link(self, Link link, bint reads):
        """Take what a server sent."""
        cdef ssize_t n = hf_read(link.fd, link.exchange.link_start, READ_BYTES) if reads else -1
        if n > 0:
            link_take(link, link.exchange.link_start, n)
        elif n == 0:
            link.eof_received()
        elif n == -1:
            link.connection_lost(ConnectionResetError(104, "Connection reset by peer"))
