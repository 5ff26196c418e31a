# The state of an engine and of a session, and the record of a command.
#
# Only the shapes live here. What works on them: `reply` writes replies,
# `request` parses, `dispatch` executes, `effects` propagates, `events` tells of
# changed keys, `blocking` parks and wakes sessions.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from holdfast.engine.buf cimport Buf, Slice
from holdfast.engine.keyspace cimport Database, Keyspace
from holdfast.engine.record cimport Record
from holdfast.engine.slot_table cimport SlotTable

# ---- a command ----

cdef enum CommandFlag:          # as COMMAND INFO names them
    CMD_WRITE = 1 << 0
    CMD_READONLY = 1 << 1
    CMD_DENYOOM = 1 << 2
    CMD_ADMIN = 1 << 3
    CMD_PUBSUB = 1 << 4
    CMD_NOSCRIPT = 1 << 5
    CMD_BLOCKING = 1 << 6
    CMD_LOADING = 1 << 7
    CMD_STALE = 1 << 8
    CMD_SKIP_MONITOR = 1 << 9
    CMD_SKIP_SLOWLOG = 1 << 10
    CMD_ASKING = 1 << 11
    CMD_FAST = 1 << 12
    CMD_NO_AUTH = 1 << 13
    CMD_MAY_REPLICATE = 1 << 14
    CMD_NO_MANDATORY_KEYS = 1 << 15
    CMD_PROTECTED = 1 << 16
    CMD_NO_ASYNC_LOADING = 1 << 17
    CMD_NO_MULTI = 1 << 18
    CMD_MOVABLE_KEYS = 1 << 19
    CMD_ALLOW_BUSY = 1 << 20
    CMD_TOUCHES_ARBITRARY_KEYS = 1 << 21
    # runs inside MULTI instead of being queued (EXEC, DISCARD, MULTI, WATCH, QUIT, RESET)
    CMD_TRANSACTION = 1 << 22
    CMD_CONTAINER = 1 << 23     # has sub-commands
    CMD_ONLY_SENTINEL = 1 << 24

cdef struct Call:               # one request under execution
    Slice* argv                 # argv[0] is the name; borrowed from the request buffer
    int argc
    Slice raw                   # the request as RESP bytes; len 0 when it came inline
    Command* command

# Returns 0, or raises: a Python exception here is a fault of ours and is
# answered with -ERR internal error. Wrong input is answered with reply_error.
ctypedef int (*handler_t)(Session s, Call* c) except -1

cdef struct Command:
    char name[40]               # lower case; a sub-command is "config|get"
    handler_t handler           # NULL: a container that needs a sub-command
    int arity                   # as Redis counts: name included, negative is "at least"
    uint64_t flags
    uint32_t categories         # ACL categories, bits of CATEGORIES in commands/spec.py
    int first_key               # argv index of the first key, 0: none
    int last_key                # of the last; negative counts from the end
    int key_step
    int id                      # index in Engine.commands
    uint64_t calls
    uint64_t usec_x1000         # nanoseconds in calls
    uint64_t rejected
    uint64_t failed
    uint32_t* latency           # histogram of durations (see latency.pxd), NULL before the first

# ---- guards: why a request may not simply run ----

cdef enum Guard:                # bits of Engine.guard and Session.guard; 0 is the fast path
    # of the engine
    GUARD_LOADING = 1 << 0      # a data set is being loaded
    GUARD_MAXMEMORY = 1 << 1    # maxmemory is set: evict first
    GUARD_REPLICA = 1 << 2      # this node is a replica
    GUARD_MISCONF = 1 << 3      # the disk refuses: no writes
    GUARD_MIN_REPLICAS = 1 << 4  # min-replicas-to-write is set
    GUARD_CLUSTER = 1 << 5      # keys must be in slots of this node
    GUARD_PAUSED = 1 << 6       # CLIENT PAUSE is in force
    GUARD_MONITORED = 1 << 7    # someone watches with MONITOR
    GUARD_BUSY = 1 << 8         # a script runs too long
    GUARD_FENCED = 1 << 9       # fenced or without lease: no writes
    GUARD_SENTINEL = 1 << 10    # only Sentinel's commands exist
    GUARD_GATED = 1 << 11       # replies wait for acknowledgements (min-replicas-to-ack)
    # of a session
    GUARD_NO_AUTH = 1 << 16     # has not authenticated yet
    GUARD_MULTI = 1 << 17       # queues
    GUARD_SUBSCRIBED = 1 << 18  # RESP2 and in subscribed mode
    GUARD_PRIMARY = 1 << 19     # the stream from our primary
    GUARD_MUTED = 1 << 20       # CLIENT REPLY OFF or SKIP
    GUARD_NO_TOUCH = 1 << 21    # CLIENT NO-TOUCH
    GUARD_ASKING = 1 << 22      # ASKING came before this request
    GUARD_SENT_AWAY = 1 << 23   # this node led when the client came, and does no more

cdef enum SessionFlag:
    S_CLOSING = 1 << 0          # to be closed now
    S_CLOSE_AFTER = 1 << 1      # to be closed once the replies are out
    S_BLOCKED = 1 << 2          # parked by a blocking command, WAIT or a pause
    S_MULTI = 1 << 3
    S_DIRTY_CAS = 1 << 4        # a watched key changed
    S_DIRTY_EXEC = 1 << 5       # a queued command was refused
    S_MONITOR = 1 << 6
    S_REPLICA = 1 << 7          # the other end is a replica
    S_PRIMARY = 1 << 8          # the other end is our primary
    S_PUBSUB = 1 << 9
    S_REPLY_OFF = 1 << 10
    S_REPLY_SKIP = 1 << 11      # skip the reply of this command
    S_REPLY_SKIP_NEXT = 1 << 12  # skip the reply of the next command
    S_DENY_BLOCKING = 1 << 13   # inside EXEC or a script
    S_SCRIPT = 1 << 14          # the session that scripts call through
    S_NO_EVICT = 1 << 15
    S_NO_TOUCH = 1 << 16
    S_ASKING = 1 << 17
    S_READONLY = 1 << 18        # READONLY in cluster mode
    S_UNIX = 1 << 19
    S_PENDING = 1 << 20         # in Engine.pending
    S_LOADER = 1 << 21          # feeds a file: no reply, no propagation
    S_EXECUTING = 1 << 22       # inside EXEC
    S_PAUSED = 1 << 23          # parked by CLIENT PAUSE; runs again on its end
    S_RETRY = 1 << 24           # a parked request is being tried again
    S_ENDED = 1 << 25           # the client sends no more: close when all is executed and answered

cdef struct HeldReply:          # a reply in Session.out that waits for acknowledgements
    size_t begin
    size_t end
    int64_t offset              # of the stream that must be acknowledged; -1: known at the end of this tick

cdef enum:
    OUTPUT_PAUSE = 1 << 20      # a session stops executing while more reply bytes than this wait

cdef class Session:
    cdef object __weakref__
    cdef readonly Engine engine
    cdef public object owner        # the connection: flush(session), close(session)
    cdef Database* db
    cdef public uint32_t flags
    cdef public uint32_t guard
    cdef public int resp            # 2 or 3
    cdef readonly uint64_t id
    cdef Buf out                    # replies, not yet handed to the connection
    cdef Buf input                  # unparsed rest of the requests
    cdef size_t input_need          # bytes that the request being received needs at least, or 0
    # Of a huge request received in parts: arguments found so far (offsets into input).
    cdef Slice* partial
    cdef int partial_argc, partial_total
    cdef size_t partial_at
    # MULTI
    cdef Buf queue                  # queued requests as RESP
    cdef int queued
    cdef uint64_t queued_flags      # flags of the queued commands, or-ed
    cdef int queued_slot            # cluster mode: slot of their keys, -1: none, -2: several
    cdef object watched             # list of (db, key), or None
    # blocking
    cdef Buf parked                 # the request to try again, as RESP
    cdef object blocked_on          # list of (db, key), or another reason
    cdef int64_t blocked_until_ms   # 0: for ever
    cdef uint64_t blocked_token     # tells a stale timer
    cdef int blocked_reply          # on timeout: 0 null array, 1 null, 2 the reason's own callback
    cdef object blocked_timeout     # callable(session) for 2
    # pub/sub
    cdef object channels, patterns, shard_channels   # dicts used as ordered sets, or None
    # identity, for CLIENT LIST
    cdef public object name, lib_name, lib_ver, user, address, local_address
    cdef public int64_t created_ms, active_ms
    cdef Command* last_command
    cdef public uint64_t bytes_in, bytes_out
    cdef public uint64_t output_soft_since_ms
    # replication (set by its plumbing)
    cdef public object replica      # its attachment, when S_REPLICA
    cdef int64_t write_offset       # stream offset after this session's last write (WAIT)
    # acknowledgement gate (see held.pxd): what stands in out from held[0].begin on must not leave yet
    cdef HeldReply* held
    cdef int held_count, held_cap

cdef class Engine:
    cdef object __weakref__
    cdef Keyspace ks
    cdef public uint32_t guard
    # commands
    cdef Command* commands
    cdef int command_count, command_cap
    cdef uint16_t* command_index    # open addressing, 4096 places, id + 1
    cdef readonly object specs      # list: specification (or None) by command id
    cdef readonly object functions  # list: Python handler (or None) by command id
    # this tick
    cdef public bint tick_open
    cdef public object open_tick    # callable: sets the time, schedules the flush
    cdef public list pending        # sessions with replies to hand out
    # the effects stream
    cdef public bint stream_on      # someone (AOF, replicas) takes the effects
    cdef Buf stream                 # effects of this tick
    cdef int stream_db              # database of the last effect, -1: say it again
    cdef public int64_t stream_offset   # bytes since the stream began, this tick's included
    cdef int unit_depth             # >0: effects belong to one unit (EXEC, script)
    cdef size_t unit_start          # where the unit begins in stream
    cdef int unit_effects
    cdef int call_effects           # effects that the running command gave explicitly
    # changes since start (INFO: rdb_changes_since_last_save counts from a mark)
    cdef public int64_t dirty
    # key events
    cdef public uint32_t notify_flags
    cdef public object watchers     # dict: (db, key) -> set-like dict of sessions
    cdef public object blocked_keys  # dict: (db, key) -> ordered dict of sessions, first come first
    cdef public list ready_keys     # keys to serve after this command
    cdef public list unblocked      # sessions whose waiting input is to be executed
    cdef int depth                  # commands under execution, nested ones included
    cdef public object key_event    # callable(name: bytes, db, key) for whoever wants more, or None
    # sessions
    cdef public dict sessions       # id -> Session
    cdef public uint64_t next_id
    cdef public uint64_t next_token
    cdef readonly object channels, patterns, shard_channels  # dict: name -> dict of sessions
    cdef public list monitors
    cdef public list deadlines      # heap of (ms, token, session id): blocked sessions
    # limits (configuration)
    cdef public int64_t proto_max_bulk_len
    cdef public int64_t query_buffer_limit
    cdef public int64_t slowlog_slower_than_us   # -1: off
    cdef public int64_t latency_threshold_ms
    cdef public object slow_hook    # callable(session, argv list, usec)
    cdef public bint replica_read_only, replica_serve_stale, link_up
    # callable(session, command name, flags, argv) -> None or error bytes: Sentinel's own commands
    cdef public object admit_hook
    # cluster mode (see slots.pxd)
    cdef SlotTable* slots           # NULL outside it
    cdef list slot_nodes            # the nodes by their number
    cdef public object endpoint_of  # callable(node) -> bytes host:port, for redirections
    cdef public object find_keys    # callable(command name, argv) -> positions, for odd commands
    cdef public object evict_hook   # unused where eviction is C
    cdef public int64_t maxmemory
    cdef public int maxmemory_policy
    cdef public int maxmemory_samples
    cdef public int good_replicas, min_replicas_to_write
    cdef public object password     # bytes, or None: requirepass
    # thresholds of the compact forms (configuration)
    cdef public int64_t hash_max_listpack_entries, hash_max_listpack_value
    cdef public int64_t set_max_intset_entries, set_max_listpack_entries, set_max_listpack_value
    cdef public int64_t zset_max_listpack_entries, zset_max_listpack_value
    cdef public int64_t list_max_listpack_size, list_compress_depth
    cdef public bint lazyfree_lazy_user_del, lazyfree_lazy_expire
    cdef public bint lazyfree_lazy_eviction, lazyfree_lazy_server_del
    # statistics
    cdef public uint64_t stat_commands, stat_connections, stat_evicted, stat_unexpected_errors
    cdef public dict error_counts   # first word of an error -> count
    # arguments of the request being parsed
    cdef Slice* argv
    cdef int argv_cap
    cdef Session current            # whose command is being executed
    cdef public object node         # the process that this engine is part of; Python commands use it
    cdef public object script_engine, on_fault
    cdef uint64_t lap_ns            # stopwatch: when the command before this one ended, 0: too long ago
    # the life of keys: expiry, eviction, freeing
    cdef public object stopwatch    # callable() -> microseconds that never go back, or None: no time limits
    cdef public bint active_expire  # false: only keys that are asked for expire (DEBUG SET-ACTIVE-EXPIRE)
    cdef public int active_expire_effort, maxmemory_eviction_tenacity
    cdef public bint lazyfree_lazy_user_flush, replica_ignore_maxmemory
    cdef public int64_t client_bytes    # buffers of clients that maxmemory counts, measured by the cron
    cdef public bint evicting       # eviction ran out of time: to be continued between ticks
    cdef void* eviction_pool
    cdef int evict_database         # where eviction by luck goes on
    cdef int expire_database        # where the expiry cycle goes on
    cdef bint expire_cut            # the last expiry cycle ran out of time
    cdef int64_t last_fast_expire_us
    cdef public double expired_stale_perc
    cdef public uint64_t stat_expired_time_cap, stat_expire_cycle_us, stat_eviction_exceeded_us
    cdef int64_t eviction_exceeded_since_us
    cdef public bint latency_tracking   # latency-tracking: durations go into Command.latency
    cdef public uint64_t net_input_bytes, net_output_bytes, reads, writes   # of all clients
    cdef public object redact           # callable(call) -> call without its secrets, for MONITOR, or None
    cdef list delayed_pushes        # (session, frame): pushes that follow the reply of the running command
    # callable(channel, message, sharded): a cluster spreads messages itself; or None
    cdef public object publish_hook
    cdef public object walk         # the sliced snapshot under way (persistence.rdb_walk), or None
    # acknowledgement gate
    cdef public list gated          # sessions with replies held in this tick
    cdef public int gate_reads      # ack-reads: 0 no, 1 committed, 2 linearizable
    cdef public int64_t gate_released   # all of the stream up to here is acknowledged
