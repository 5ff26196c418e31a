"""The stream's way through a node: into the backlog, and from there to every replica.

What this is: the hot ends of `stream` and `remote_replica`, compiled, for every tick that writes goes
through them. Bytes are copied once, into the backlog; each replica is sent them from there. What a full
transport does not take stays in the backlog, where all replicas share it.

What this is not: histories, roles (`stream`), or who a replica is (`remote_replica`).

How to read it: `take_effects` and `forward` are the two ways in, `send_all` the way out, `feed` one
replica's part of it.
"""

cdef enum:
    PIECE_BYTES = 256 * 1024


cdef class ReplicaFeed:
    """One replica: a place in the stream and the connection that it is sent on."""

    def __cinit__(self, Connection connection not None, Counters counters not None, *more):
        self.connection = connection
        self.counters = counters

    cdef int feed(self) except -1:
        cdef Reader reader = self.reader
        cdef Backlog backlog = self.backlog
        cdef const char* p = NULL
        cdef ssize_t n
        if reader is None or backlog is None or not self.is_online:
            return 0
        while not (self.is_gone or self.connection.closed or self.connection.blocked_writing):
            n = backlog.peek(reader.next_byte, PIECE_BYTES, &p)
            if n == 0:
                break
            reader.next_byte += n
            self.counters.replication_output_bytes += n
            self.connection.put(p, n)
        return 0

    def pump(self):
        """Send of the stream what the transport takes."""
        self.feed()


cdef class StreamFeed(EffectSink):
    """The stream of one node, fed by its own effects or by its primary."""

    def __cinit__(self, node, *more):
        self.engine = node.engine
        self.replicas = []

    @property
    def offset(self):
        """Return the last byte that the stream has; effects of the running tick come later."""
        return self.forwarded if self.is_forwarding else self.engine.stream_offset

    cdef int take_effects(self, const char* p, size_t n) except -1:
        return self.add(p, n)

    cdef int forward(self, const char* p, size_t n) except -1:
        self.forwarded += n
        if self.backlog is not None:
            self.add(p, n)
        return 0

    cdef int add(self, const char* p, size_t n) except -1:
        self.backlog.add(p, n)
        self.has_unsent = True
        return 0

    cdef int send_all(self) except -1:
        cdef ReplicaFeed replica
        self.has_unsent = False
        for replica in self.replicas:
            replica.feed()
        return 0

    def send(self):
        """Let replicas have what came in since the last call.

        The node's own log has it by now: a node killed at any moment is not behind its replicas.
        """
        self.send_all()
