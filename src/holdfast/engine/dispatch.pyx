"""Execution of one request: look up, admit, call, account, propagate.

What it is: the one pass that every request takes. `execute` looks the command
up and checks its arity; when no guard is up, neither of the engine nor of the
session, the command is called at once; otherwise `admit` asks the questions in
the order in which Redis asks them (processCommand). `call_command` runs the
handler, counts it and propagates what it changed.

What it is not: parsing (`request`), or the meaning of commands (`holdfast.commands`).
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memchr, strlen
from holdfast.engine.blocking cimport park_for_pause, run_paused, serve_ready
from holdfast.engine.buf cimport buf_append, buf_free, slice_bytes
from holdfast.engine.effects cimport effect_request
from holdfast.engine.events cimport release_pushes, unwatch
from holdfast.engine.eviction cimport make_room
from holdfast.engine.held cimport hold_reply
from holdfast.engine.keyspace cimport EXPIRY_DELETE, EXPIRY_HIDE, EXPIRY_IGNORE
from holdfast.engine.latency cimport latency_add
from holdfast.engine.monitor cimport feed_monitors
from holdfast.engine.registry cimport find_command, find_subcommand
from holdfast.engine.reply cimport reply_error, reply_error_bytes, reply_status, wake
from holdfast.engine.request cimport encode_call, proceed
from holdfast.engine.slot_table cimport KEYS_NONE, KEYS_QUEUED
from holdfast.engine.slots cimport (
    SERVED, judge, note_queued, plainly_served, refusal_text, target_of, waits_for_transit)
from holdfast.engine.state cimport (
    CMD_ADMIN, CMD_ALLOW_BUSY, CMD_CONTAINER, CMD_DENYOOM, CMD_LOADING, CMD_MAY_REPLICATE, CMD_NO_AUTH,
    CMD_NO_MULTI,
    CMD_READONLY, CMD_SKIP_MONITOR, CMD_SKIP_SLOWLOG, CMD_STALE, CMD_TRANSACTION, CMD_WRITE,
    GUARD_ASKING, GUARD_BUSY, GUARD_CLUSTER, GUARD_FENCED, GUARD_GATED, GUARD_LOADING, GUARD_MAXMEMORY,
    GUARD_MIN_REPLICAS, GUARD_MISCONF,
    GUARD_MONITORED, GUARD_MULTI, GUARD_MUTED, GUARD_NO_AUTH, GUARD_PAUSED, GUARD_PRIMARY,
    GUARD_REPLICA, GUARD_SENT_AWAY, GUARD_SENTINEL, GUARD_SUBSCRIBED,
    S_ASKING, S_BLOCKED, S_CLOSING, S_DIRTY_EXEC, S_ENDED, S_EXECUTING, S_LOADER, S_MULTI, S_NO_TOUCH,
    S_PAUSED, S_PRIMARY, S_REPLY_OFF,
    S_REPLY_SKIP, S_REPLY_SKIP_NEXT,
    S_RETRY, Call, Command, Engine, Session)

cdef extern from *:
    """
    #include <time.h>
    static uint64_t hf_clock(void) {
        struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
    }
    #if defined(__x86_64__)
    /* The time stamp counter, scaled once: a third of the price of clock_gettime. */
    static double hf_nanos_a_count = 0.0;
    static void hf_stopwatch_scale(void) {
        uint64_t began = hf_clock(), counted = __builtin_ia32_rdtsc(), now;
        do now = hf_clock(); while (now - began < 1000000ULL);
        hf_nanos_a_count = (double)(now - began) / (double)(__builtin_ia32_rdtsc() - counted);
    }
    static inline uint64_t hf_nanos(void) {
        return (uint64_t)((double)__builtin_ia32_rdtsc() * hf_nanos_a_count);
    }
    #else
    static void hf_stopwatch_scale(void) { }
    static inline uint64_t hf_nanos(void) { return hf_clock(); }
    #endif
    """
    void hf_stopwatch_scale() noexcept nogil
    uint64_t hf_nanos() noexcept nogil     # a stopwatch for statistics; decides nothing

hf_stopwatch_scale()


cdef void reject(Session s, Call* c, const char* text) noexcept:
    reject_bytes(s, c, <bytes>text)


cdef int reject_bytes(Session s, Call* c, bytes text) except -1:
    if s.flags & S_MULTI:
        s.flags |= S_DIRTY_EXEC
    s.last_command = NULL
    if c.command != NULL:
        c.command.rejected += 1
        if memcmp_name(c.command, b"exec"):     # a transaction ends, also when its EXEC may not run
            discard_transaction(s)
            text = b"EXECABORT Transaction discarded because of: " + text.removeprefix(b"ERR ")
    reply_error_bytes(s, text)
    return 0


cdef int discard_transaction(Session s) except -1:
    buf_free(&s.queue)
    s.queued = 0
    s.queued_flags = 0
    s.queued_slot = -1
    s.flags &= ~(S_MULTI | S_DIRTY_EXEC)
    s.guard &= ~GUARD_MULTI
    unwatch(s)
    return 0


cdef int unknown_command(Session s, Call* c) except -1:
    cdef bytes shown = b""
    cdef int i
    for i in range(1, c.argc):
        if len(shown) >= 128:
            break
        shown += b"'%s' " % as_c_string(slice_bytes(c.argv[i])[:128 - len(shown)])
    return reject_bytes(s, c, b"ERR unknown command '%s', with args beginning with: %s" % (
        as_c_string(slice_bytes(c.argv[0])[:128]), shown))


cdef bytes as_c_string(bytes text):
    """The text up to its first NUL: that is how Redis prints arguments."""
    return text.split(b"\0", 1)[0]


cdef bytes display_name(Command* cmd):
    return <bytes>cmd.name


cdef Command* find_sub(Session s, Call* c, Command* cmd) except? NULL:
    """The sub-command of a container; answers and returns NULL when there is none."""
    cdef Command* found
    if c.argc < 2:
        reject_bytes(s, c, b"ERR wrong number of arguments for '%s' command" % display_name(cmd))
        return NULL
    found = find_subcommand(s.engine, cmd, c.argv[1].ptr, c.argv[1].len)
    if found == NULL:
        reject_bytes(s, c, b"ERR unknown subcommand '%s'. Try %s HELP." % (
            as_c_string(slice_bytes(c.argv[1])[:128]), display_name(cmd).upper()))
    return found


cdef Command* look_up(Session s, Call* c) except? NULL:
    """The command of a call, its arity checked; NULL: answered."""
    cdef Command* cmd = find_command(s.engine, c.argv[0].ptr, c.argv[0].len)
    if cmd != NULL and memchr(cmd.name, c'|', strlen(cmd.name)) != NULL:
        cmd = NULL      # a sub-command has no door of its own
    c.command = cmd
    if cmd == NULL:
        unknown_command(s, c)
        return NULL
    if cmd.handler == NULL or (cmd.flags & CMD_CONTAINER and c.argc >= 2):
        cmd = find_sub(s, c, cmd)
        if cmd == NULL:
            return NULL
        c.command = cmd
    if (cmd.arity > 0 and c.argc != cmd.arity) or c.argc < -cmd.arity:
        reject_bytes(s, c, b"ERR wrong number of arguments for '%s' command" % display_name(cmd))
        return NULL
    return cmd


cdef int execute(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef size_t before
    cdef int64_t dirty = e.dirty
    cdef Command* cmd = look_up(s, c)
    cdef uint32_t guard = e.guard | s.guard
    if not s.flags & S_RETRY:
        e.stat_commands += 1
    if cmd == NULL:
        if guard & GUARD_ASKING:
            end_asking(s)
        return 0
    if not guard:
        return call_command(s, c)
    if guard == GUARD_CLUSTER and plainly_served(e, c):
        call_command(s, c)
        e.ks.dbs.known_key = NULL
        return 0
    before = s.out.len
    s.guard &= ~GUARD_ASKING            # ASKING sets it anew
    if s.guard & GUARD_MUTED:
        if s.flags & S_REPLY_SKIP_NEXT:
            s.flags = (s.flags & ~S_REPLY_SKIP_NEXT) | S_REPLY_SKIP
    if admit(s, c):
        call_command(s, c)
    e.ks.expiry_mode = EXPIRY_DELETE
    e.ks.no_touch = False
    e.ks.dbs.known_key = NULL
    if guard & GUARD_ASKING and not s.guard & GUARD_ASKING:
        end_asking(s)
    if s.guard & (GUARD_MUTED | GUARD_PRIMARY):
        if s.flags & (S_REPLY_SKIP | S_REPLY_OFF | S_PRIMARY | S_LOADER):
            s.out.len = before
        s.flags &= ~S_REPLY_SKIP
        if not s.flags & (S_REPLY_OFF | S_REPLY_SKIP_NEXT):
            s.guard &= ~GUARD_MUTED
    if e.guard & GUARD_GATED and e.depth == 0 and s.out.len > before and not s.flags & (S_PRIMARY | S_LOADER):
        if e.dirty != dirty or (e.gate_reads and must_wait(e, cmd)):
            hold_reply(s, before)
    return 0


cdef void end_asking(Session s) noexcept nogil:
    """ASKING was for this one request; for all of a transaction, or of what a pause holds back."""
    if s.flags & (S_MULTI | S_PAUSED):
        s.guard |= GUARD_ASKING
    else:
        s.guard &= ~GUARD_ASKING
        s.flags &= ~S_ASKING


cdef bint served_here(Session s, Call* c) except? False:
    """Whether this node of a cluster serves the call; otherwise its client was sent elsewhere."""
    cdef Engine e = s.engine
    cdef int slot = -1
    verdict = judge(s, c, s.flags, &slot)
    if verdict == SERVED:
        return not waits_for_transit(s, c, slot)
    refusal = refusal_text(e, verdict, slot, target_of(e, verdict, slot))
    if e.slots.rules[c.command.id].kind == KEYS_QUEUED:     # EXEC: a redirection is told as it is
        discard_transaction(s)
        c.command.rejected += 1
        reply_error_bytes(s, refusal)
    else:
        reject_bytes(s, c, refusal)
    return False


cdef bint must_wait(Engine e, Command* cmd) noexcept nogil:
    """Whether `ack-reads` holds the reply of a request that changed nothing: only if it tells of data.

    PING, INFO or SELECT never wait: a replica sends them before it can become a member at all.
    """
    if not cmd.flags & (CMD_READONLY | CMD_WRITE | CMD_MAY_REPLICATE) and not memcmp_name(cmd, b"exec"):
        return False
    return e.gate_reads == 2 or e.stream_offset + <int64_t>e.stream.len > e.gate_released


cdef bint admit(Session s, Call* c) except? False:
    """Whether the call may run now; otherwise it was answered, queued or parked."""
    cdef Engine e = s.engine
    cdef Command* cmd = c.command
    cdef uint32_t guard = e.guard | s.guard
    cdef uint64_t flags = cmd.flags
    cdef bint from_primary = (s.flags & (S_PRIMARY | S_LOADER)) != 0
    cdef bint runs_queue = (s.flags & S_MULTI) and memcmp_name(cmd, b"exec")
    cdef bint writes
    if runs_queue:
        flags |= s.queued_flags & (CMD_WRITE | CMD_DENYOOM | CMD_MAY_REPLICATE)
    writes = (flags & (CMD_WRITE | CMD_MAY_REPLICATE)) != 0
    e.ks.expiry_mode = EXPIRY_DELETE
    if guard & GUARD_NO_AUTH and not flags & CMD_NO_AUTH:
        reject(s, c, b"NOAUTH Authentication required.")
        return False
    if guard & GUARD_MULTI and flags & CMD_NO_MULTI:
        reject(s, c, b"ERR Command not allowed inside a transaction")
        return False
    if guard & GUARD_CLUSTER and e.slots.rules[cmd.id].kind != KEYS_NONE and not from_primary \
            and not s.flags & S_RETRY and not served_here(s, c):
        return False
    if guard & GUARD_SENTINEL and e.admit_hook is not None and not from_primary:
        refusal = e.admit_hook(
            s, (<bytes>cmd.name).decode(), flags, [slice_bytes(c.argv[i]) for i in range(c.argc)])
        if refusal is not None:
            reject_bytes(s, c, refusal)
            return False
    if guard & GUARD_MAXMEMORY and not from_primary and not e.guard & GUARD_LOADING:
        if not make_room(e) and flags & CMD_DENYOOM:
            reject(s, c, b"OOM command not allowed when used memory > 'maxmemory'.")
            return False
    if guard & GUARD_MISCONF and not from_primary and (flags & CMD_WRITE or memcmp_name(cmd, b"ping")):
        if not e.guard & GUARD_REPLICA:
            reject_bytes(s, c, e.node.write_refusal())
            return False
    if guard & GUARD_SENT_AWAY and (flags | (s.queued_flags if runs_queue else 0)) & (
            CMD_READONLY | CMD_WRITE):
        reject(s, c, b"READONLY This node leads no more. Connect to the new primary.")
        return False
    if guard & GUARD_FENCED and not from_primary:
        e.ks.expiry_mode = EXPIRY_HIDE      # the deletion of an expired key would be a write
    if guard & GUARD_FENCED and not from_primary and (
            writes or (e.gate_reads and (flags | (s.queued_flags if runs_queue else 0)) & CMD_READONLY)):
        refusal = e.node.fence_refusal(s)
        if refusal is not None:
            reject_bytes(s, c, refusal)
            return False
    if guard & GUARD_MIN_REPLICAS and flags & CMD_WRITE and not from_primary and not e.guard & GUARD_REPLICA:
        if e.good_replicas < e.min_replicas_to_write:
            reject(s, c, b"NOREPLICAS Not enough good replicas to write.")
            return False
    if guard & GUARD_REPLICA and not from_primary:
        e.ks.expiry_mode = EXPIRY_HIDE
        if flags & CMD_WRITE and e.replica_read_only:
            reject(s, c, b"READONLY You can't write against a read only replica.")
            return False
    if guard & GUARD_SUBSCRIBED and not subscribed_may(cmd):
        reject_bytes(
            s, c, b"ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
            b"are allowed in this context" % <bytes>cmd.name)
        return False
    if guard & GUARD_REPLICA and not e.link_up and not e.replica_serve_stale and not flags & CMD_STALE \
            and not from_primary:
        reject(s, c, b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")
        return False
    if guard & GUARD_LOADING and not flags & CMD_LOADING and not from_primary:
        reject(s, c, b"LOADING Redis is loading the dataset in memory")
        return False
    if guard & GUARD_BUSY and not flags & CMD_ALLOW_BUSY:
        reject(
            s, c, b"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")
        return False
    if from_primary:
        e.ks.expiry_mode = EXPIRY_IGNORE
    elif guard & GUARD_PAUSED:
        e.ks.expiry_mode = EXPIRY_HIDE
        if park_for_pause(s, c, writes):
            return False
    if guard & GUARD_MULTI and not flags & CMD_TRANSACTION:
        queue_call(s, c)
        return False
    e.ks.no_touch = (s.flags & S_NO_TOUCH) != 0
    return True


cdef extern from "string.h":
    int strcmp(const char* a, const char* b) noexcept nogil


cdef inline bint memcmp_name(Command* cmd, const char* name) noexcept nogil:
    return strcmp(cmd.name, name) == 0


cdef bint subscribed_may(Command* cmd) noexcept nogil:
    return (
        memcmp_name(cmd, b"ping") or memcmp_name(cmd, b"subscribe") or memcmp_name(cmd, b"ssubscribe")
        or memcmp_name(cmd, b"psubscribe") or memcmp_name(cmd, b"unsubscribe") or memcmp_name(
            cmd, b"sunsubscribe")
        or memcmp_name(cmd, b"punsubscribe") or memcmp_name(cmd, b"quit") or memcmp_name(cmd, b"reset"))


cdef int queue_call(Session s, Call* c) except -1:
    if c.raw.len:
        buf_append(&s.queue, c.raw.ptr, c.raw.len)
    else:
        encode_call(&s.queue, c.argv, c.argc)
    s.queued += 1
    s.queued_flags |= c.command.flags
    if s.engine.slots != NULL:
        note_queued(s, c)
    reply_status(s, b"QUEUED")
    return 0


cdef extern from *:
    """
    static inline int hf_raise_pending(void) { return -1; }     /* the exception is set already */
    """
    int hf_raise_pending() except -1

# A handler as it is called: -1 says that an exception is set (a `try` would cost every call).
ctypedef int (*quiet_handler_t)(Session s, Call* c) noexcept


cdef int tell_fault(Session s, Call* c) except -1:
    """Answer the exception of a handler; only one that ends the process goes on."""
    cdef Engine e = s.engine
    try:
        hf_raise_pending()
    except BaseException as fault:
        e.stat_unexpected_errors += 1
        if e.on_fault is not None:
            e.on_fault(fault, <bytes>c.command.name)
        reply_error(s, b"ERR internal error")
        if not isinstance(fault, Exception):
            raise
    return 0


cdef int call_command(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef Command* cmd = c.command
    cdef int64_t dirty = e.dirty
    cdef int effects = e.call_effects
    cdef int db = s.db.id
    cdef Session outer = e.current
    # Within a batch a command begins when the one before it ended: one look at the clock each.
    cdef uint64_t start = e.lap_ns if e.depth == 0 and e.lap_ns else hf_nanos()
    cdef uint64_t end, took
    e.call_effects = 0
    e.depth += 1
    e.current = s
    if not s.flags & S_EXECUTING:       # EXEC stays the last one, as CLIENT LIST tells it
        s.last_command = cmd
    if (<quiet_handler_t>cmd.handler)(s, c) == -1:
        try:
            tell_fault(s, c)
        except BaseException:
            e.depth -= 1
            e.current = outer
            raise
    end = hf_nanos()
    took = end - start
    e.lap_ns = end
    if not s.flags & S_BLOCKED:         # a call that waits is counted when it was served
        cmd.calls += 1
    cmd.usec_x1000 += took
    if e.latency_tracking:
        latency_add(cmd, took)
    e.depth -= 1
    e.current = outer
    if e.dirty != dirty:
        if e.call_effects == 0:
            effect_request(e, db, c)
        s.write_offset = e.stream_offset + e.stream.len
    e.call_effects = effects
    if e.guard & GUARD_MONITORED and not cmd.flags & (CMD_ADMIN | CMD_SKIP_MONITOR) and not s.flags & S_RETRY:
        feed_monitors(s, c)
    if (e.slowlog_slower_than_us >= 0 and took >= <uint64_t>e.slowlog_slower_than_us * 1000
            and e.slow_hook is not None):
        if not cmd.flags & CMD_SKIP_SLOWLOG:
            e.slow_hook(s, [slice_bytes(c.argv[i]) for i in range(c.argc)], took // 1000)
    if e.depth == 0:
        if e.delayed_pushes:
            release_pushes(e)
        if e.ready_keys and not s.flags & S_RETRY:
            serve_ready(e)
    return 0


cdef int serve(Engine e) except -1:
    cdef Session s
    while e.unblocked:
        s = e.unblocked.pop(0)
        if s.flags & S_PAUSED and not s.flags & S_CLOSING:
            run_paused(s)
        else:
            proceed(s)
        if s.out.len or s.flags & S_ENDED:
            wake(s)
    return 0
