"""redis.call and redis.pcall: a command called from a script.

What it is: the arguments, the rules for calls from scripts, the call. It takes its
arguments from Lua's stack in place, goes through a session of its own (S_SCRIPT,
S_DENY_BLOCKING) and leaves its reply in that session's buffer, from where it is pushed
on Lua's stack. What it is not: the rules for the script as a whole (`scripting`), or
the rest of what scripts find in `redis` (`scripting_library`).

A Lua error is a longjmp: see `scripting_errors`.
"""

from libc.stdint cimport int64_t
from libc.stdlib cimport abort, realloc
from libc.string cimport strlen
from holdfast.commands.scripting_lua cimport NUMBER, STRING, UPVALUE_1, State, lua
from holdfast.commands.scripting_reply cimport push_error, push_reply
from holdfast.commands.scripting_world cimport SCRIPT_COMPAT, SCRIPT_CROSS_SLOT, World
from holdfast.engine.buf cimport Slice, buf_free, buf_reserve
from holdfast.engine.dispatch cimport call_command
from holdfast.engine.numbers cimport format_double, format_int64
from holdfast.engine.registry cimport find_command, find_subcommand
from holdfast.engine.slots cimport DOWN, DOWN_READS_ONLY, SERVED, Verdict, judge
from holdfast.engine.state cimport (
    CMD_CONTAINER, CMD_DENYOOM, CMD_MAY_REPLICATE, CMD_NOSCRIPT, CMD_STALE, CMD_WRITE, GUARD_CLUSTER,
    GUARD_FENCED, GUARD_MIN_REPLICAS, GUARD_MISCONF, GUARD_REPLICA, S_ASKING, S_LOADER, S_PRIMARY, S_READONLY,
    Call, Command, Engine, Session)


cdef int api_call(State* L) noexcept:
    cdef int failed = call_from_script(L, lua.touserdata(L, UPVALUE_1))
    if failed:
        return lua.error(L)
    return 1


cdef int api_pcall(State* L) noexcept:
    call_from_script(L, lua.touserdata(L, UPVALUE_1))
    return 1


cdef int refuse(World w, State* L, const char* text) except -1:
    """Push an error of the call itself, counted as the rejected command's."""
    cdef bytes code = text.split(b" ", 1)[0]
    w.engine.error_counts[code] = w.engine.error_counts.get(code, 0) + 1
    lua.settop(L, 0)
    push_error(L, text, strlen(text), True)
    return 1


cdef int take_arguments(World w, State* L) except -1:
    cdef int argc = lua.gettop(L)
    cdef int i, kind
    cdef double value
    cdef char* digits
    if argc == 0:
        push_error(L, b"ERR Please specify at least one argument for this redis lib call", 64, False)
        return 0
    if argc > w.argv_cap:
        w.argv_cap = argc + 16
        w.argv = <Slice*>realloc(w.argv, w.argv_cap * sizeof(Slice))
        if w.argv == NULL:
            abort()
    w.digits.len = 0
    buf_reserve(&w.digits, 40 * argc)
    for i in range(argc):
        kind = lua.type(L, i + 1)
        if kind == STRING:
            w.argv[i].ptr = lua.tolstring(L, i + 1, &w.argv[i].len)
        elif kind == NUMBER:
            value = lua.tonumber(L, i + 1)
            digits = w.digits.ptr + 40 * i
            w.argv[i].ptr = digits
            if -4503599627370496.0 <= value <= 4503599627370496.0 and value == <double><int64_t>value:
                w.argv[i].len = format_int64(digits, <int64_t>value)
            else:
                w.argv[i].len = format_double(digits, value)
        else:
            lua.settop(L, 0)
            push_error(L, b"ERR Lua redis lib command arguments must be strings or integers", 63, False)
            return 0
    return argc


cdef Command* command_of(World w, int argc) noexcept:
    cdef Command* found = find_command(w.engine, w.argv[0].ptr, w.argv[0].len)
    if found != NULL and found.flags & CMD_CONTAINER and argc > 1:
        found = find_subcommand(w.engine, found, w.argv[1].ptr, w.argv[1].len)
    return found


cdef int may_call(World w, State* L, Call* c) except -1:
    """0: the call may be made; 1: an error was pushed."""
    cdef Engine e = w.engine
    cdef Command* cmd = c.command
    cdef bint from_primary = (w.caller.flags & (S_PRIMARY | S_LOADER)) != 0
    if cmd == NULL:
        return refuse(w, L, b"ERR Unknown Redis command called from script")
    if (cmd.arity > 0 and c.argc != cmd.arity) or c.argc < -cmd.arity or cmd.handler == NULL:
        return refuse(w, L, b"ERR Wrong number of args calling Redis command from script")
    if cmd.flags & CMD_NOSCRIPT:
        return refuse(w, L, b"ERR This Redis command is not allowed from script")
    if e.guard & GUARD_REPLICA and not e.link_up and not e.replica_serve_stale and not cmd.flags & CMD_STALE:
        return refuse(w, L, b"ERR Can not execute the command on a stale replica")
    if w.read_only and cmd.flags & (CMD_WRITE | CMD_MAY_REPLICATE):
        return refuse(w, L, b"ERR Write commands are not allowed from read-only scripts.")
    if cmd.flags & CMD_WRITE and not w.wrote and not from_primary:
        if e.guard & GUARD_REPLICA and e.replica_read_only:
            return refuse(w, L, b"READONLY You can't write against a read only replica.")
        if e.guard & GUARD_MISCONF and not e.guard & GUARD_REPLICA:
            return refuse(w, L, <bytes>e.node.write_refusal())
        if e.guard & GUARD_FENCED:
            refusal = e.node.fence_refusal(w.caller)
            if refusal is not None:
                return refuse(w, L, <bytes>refusal)
        if (e.guard & GUARD_MIN_REPLICAS and not e.guard & GUARD_REPLICA
                and e.good_replicas < e.min_replicas_to_write):
            return refuse(w, L, b"NOREPLICAS Not enough good replicas to write.")
        if w.out_of_memory and cmd.flags & CMD_DENYOOM and not w.allow_oom:
            return refuse(w, L, b"OOM command not allowed when used memory > 'maxmemory'.")
    if cmd.flags & CMD_WRITE:
        w.wrote = True
    if e.guard & GUARD_CLUSTER and not from_primary:
        return may_touch_keys(w, L, c)
    return 0


cdef int may_touch_keys(World w, State* L, Call* c) except -1:
    """The same for the keys of the call, in cluster mode."""
    cdef int slot = -1
    cdef Verdict verdict = judge(w.session, c, w.caller.flags & (S_ASKING | S_READONLY), &slot)
    if verdict == DOWN_READS_ONLY:
        return refuse(
            w, L, b"ERR Script attempted to execute a write command while the cluster is down and readonly")
    if verdict == DOWN:
        return refuse(w, L, b"ERR Script attempted to execute a command while the cluster is down")
    if verdict != SERVED:
        return refuse(w, L, b"ERR Script attempted to access a non local key in a cluster node")
    if slot >= 0 and not w.running.flags & (SCRIPT_COMPAT | SCRIPT_CROSS_SLOT):
        if w.slot >= 0 and w.slot != slot:
            return refuse(w, L, b"ERR Script attempted to access keys that do not hash to the same slot")
        w.slot = slot
    return 0


cdef int call_from_script(State* L, void* place) noexcept:
    """Make the call whose words lie on the stack and push its reply; 1: it is an error.

    No exception may cross Lua's frames: a fault of ours is told, and is an error to the script.
    """
    cdef World w = <World>place
    cdef Engine e = w.engine
    cdef bint stream_on = e.stream_on
    cdef int failed = 1
    try:
        failed = make_call(w, L)
    except BaseException as fault:
        lua.settop(L, 0)
        push_error(L, b"ERR internal error", 18, False)
        e.stat_unexpected_errors += 1
        if e.on_fault is not None:
            e.on_fault(fault, b"redis.call")
    e.stream_on = stream_on
    return failed


cdef int make_call(World w, State* L) except -1:
    cdef Engine e = w.engine
    cdef Session s = w.session
    cdef Call c
    cdef bint failed
    c.argc = take_arguments(w, L)
    if c.argc == 0:
        return 1
    c.argv = w.argv
    c.raw.ptr = NULL
    c.raw.len = 0
    c.command = command_of(w, c.argc)
    if c.command == NULL or c.command.flags & (CMD_NOSCRIPT | CMD_WRITE | CMD_MAY_REPLICATE) or e.guard \
            or c.argc < -c.command.arity or (c.command.arity > 0 and c.argc != c.command.arity) \
            or c.command.handler == NULL:
        if may_call(w, L, &c):
            return 1
        if w.replicate == 0:
            e.stream_on = False
    s.out.len = 0
    call_command(s, &c)
    lua.settop(L, 0)
    if s.out.len == 0:
        lua.pushboolean(L, 0)
        return 0
    failed = s.out.ptr[0] == c'-'
    push_reply(L, s.out.ptr)
    s.out.len = 0
    if s.out.cap > 1 << 16:
        buf_free(&s.out)
    return failed
