"""The state of an engine and of a session.

What it is: two classes that hold everything one node's data path works on.
What it is not: behaviour. Sessions and engines are worked on by `request`,
`dispatch`, `reply`, `effects`, `events` and `blocking`; see `state.pxd` for the
meaning of each attribute.
"""

from libc.stdlib cimport calloc, free
from holdfast.engine.buf cimport buf_free
from holdfast.engine.databases cimport keyspace_free, keyspace_init
from holdfast.engine.engine_time cimport set_engine_time
from holdfast.engine.lazyfree cimport lazy_finish

cdef enum:
    COMMAND_PLACES = 4096


cdef class Session:
    """One client of an engine: its database, protocol, buffers and modes."""

    def __cinit__(self, Engine engine, owner=None):
        self.engine = engine
        self.owner = owner
        self.db = &engine.ks.dbs[0]
        self.resp = 2
        self.queued_slot = -1
        self.id = engine.next_id
        engine.next_id += 1
        self.created_ms = engine.ks.now_ms
        self.active_ms = engine.ks.now_ms

    def __dealloc__(self):
        buf_free(&self.out)
        buf_free(&self.input)
        buf_free(&self.queue)
        buf_free(&self.parked)
        free(self.partial)
        free(self.held)

    @property
    def database(self):
        """Number of the selected database."""
        return self.db.id

    def take_output(self):
        """Return the waiting replies as bytes and forget them (for owners without a transport)."""
        cdef bytes chunk = self.out.ptr[:self.out.len]
        self.out.len = 0
        return chunk

    @property
    def output_bytes(self):
        """Reply bytes that wait to be handed to the connection."""
        return self.out.len

    @property
    def input_bytes(self):
        """Request bytes that are not executed yet."""
        return self.input.len

    @property
    def held_replies(self):
        """How many replies wait for acknowledgements."""
        return self.held_count

    @property
    def last_write_offset(self):
        """Where the stream ended after this session's last write (WAIT)."""
        return self.write_offset

    @property
    def buffer_bytes(self):
        """Memory that the session's buffers take."""
        return self.out.cap + self.input.cap + self.queue.cap + self.parked.cap


cdef class Engine:
    """The data of one node and all that its data path needs."""

    def __cinit__(self, int databases=16, uint64_t seed=1, bint cluster=False):
        keyspace_init(&self.ks, databases, 16384 if cluster else 1, seed)
        self.ks.hooks.owner = <void*>self
        self.command_index = <uint16_t*>calloc(COMMAND_PLACES, sizeof(uint16_t))
        self.specs = []
        self.functions = []
        self.pending = []
        self.stream_db = -1
        self.watchers = {}
        self.blocked_keys = {}
        self.ready_keys = []
        self.unblocked = []
        self.sessions = {}
        self.next_id = 1
        self.next_token = 1
        self.channels = {}
        self.patterns = {}
        self.shard_channels = {}
        self.monitors = []
        self.delayed_pushes = []
        self.deadlines = []
        self.error_counts = {}
        self.gated = []
        self.proto_max_bulk_len = 512 << 20
        self.query_buffer_limit = 1 << 30
        self.slowlog_slower_than_us = 10000
        self.maxmemory_samples = 5
        self.replica_read_only = True
        self.replica_serve_stale = True
        self.hash_max_listpack_entries = 512
        self.hash_max_listpack_value = 64
        self.set_max_intset_entries = 512
        self.set_max_listpack_entries = 128
        self.set_max_listpack_value = 64
        self.zset_max_listpack_entries = 128
        self.zset_max_listpack_value = 64
        self.list_max_listpack_size = -2
        self.active_expire = True
        self.active_expire_effort = 1
        self.maxmemory_eviction_tenacity = 10
        self.replica_ignore_maxmemory = True
        self.latency_tracking = True

    def __dealloc__(self):
        cdef int i
        lazy_finish(&self.ks)
        keyspace_free(&self.ks)
        free(self.eviction_pool)
        for i in range(self.command_count):
            free(self.commands[i].latency)
        free(self.commands)
        free(self.command_index)
        if self.slots != NULL:
            free(self.slots.rules)
            free(self.slots.positions)
            free(self.slots)
        free(self.argv)
        buf_free(&self.stream)

    def set_time(self, int64_t now_ms):
        """Set the wall clock of this tick, in milliseconds since 1970."""
        set_engine_time(self, now_ms)

    @property
    def now_ms(self):
        """The time of this tick, in milliseconds since 1970."""
        return self.ks.now_ms

    @property
    def used_bytes(self):
        """Bytes of all data, as the allocator handed them out."""
        return self.ks.heap.used

    @property
    def database_count(self):
        """How many databases there are."""
        return self.ks.db_count

    @property
    def stream_end(self):
        """Where the stream ends, with what this tick has made so far."""
        return self.stream_offset + self.stream.len

    def key_count(self, int database):
        """Return the number of keys in a database."""
        return self.ks.dbs[database].keys

    def volatile_count(self, int database):
        """Return the number of keys with an expiry in a database."""
        return self.ks.dbs[database].volatile_count
