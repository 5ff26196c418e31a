"""The world of an engine's scripts: one state of Lua, the scripts it knows, and the one that runs.

What it is: `World.compile` and `World.run`, and the `redis` library that a
script calls (https://redis.io/docs/interact/programmability/lua-api/). What it
is not: the commands (`scripting`), the sandbox (`scripting_sandbox`), or the
conversions (`scripting_reply`).

A call from a script takes its arguments from Lua's stack in place, goes through
a session of its own (S_SCRIPT, S_DENY_BLOCKING) and leaves its reply in that
session's buffer, from where it is pushed on Lua's stack.

A script that runs longer than busy-reply-threshold still holds the event loop.
From then on the hook that Lua calls every so many instructions lets the node
serve its clients without the loop (`node.pump`); GUARD_BUSY answers them.

A Lua error is a longjmp: functions here that may raise one hold C values only,
and leave everything Pythonic to a method that returns.
"""

from hashlib import sha1

from libc.math cimport floor
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport abort, free, realloc
from libc.string cimport strlen
from holdfast.commands.scripting_lua cimport (
    GC_STEP, MASK_COUNT, MASK_LINE, NUMBER, REGISTRY, STRING, TABLE, UPVALUE_1, Activation, Function, State,
    add,
    load_lua, lua, pop, raise_text)
from holdfast.commands.scripting_reply cimport push_error, push_reply, reply_error_line, reply_from_lua
from holdfast.commands.scripting_sandbox cimport open_libraries, seal
from holdfast.engine.buf cimport Slice, buf_free, buf_reserve, slice_bytes
from holdfast.engine.checksum cimport key_slot
from holdfast.engine.dispatch cimport call_command
from holdfast.engine.effects cimport effect_none, unit_close, unit_open
from holdfast.engine.keyspace cimport ExpiryMode
from holdfast.engine.numbers cimport format_double, format_int64
from holdfast.engine.registry cimport find_command, find_subcommand
from holdfast.engine.reply cimport reply_error, reply_error_bytes
from holdfast.engine.slots cimport DOWN, DOWN_READS_ONLY, SERVED, Verdict, judge
from holdfast.engine.state cimport (
    CMD_CONTAINER, CMD_DENYOOM, CMD_MAY_REPLICATE, CMD_NOSCRIPT, CMD_STALE, CMD_WRITE,
    GUARD_BUSY, GUARD_CLUSTER, GUARD_FENCED, GUARD_MIN_REPLICAS, GUARD_MISCONF, GUARD_REPLICA,
    S_ASKING, S_DENY_BLOCKING, S_EXECUTING, S_LOADER, S_PRIMARY, S_READONLY, S_SCRIPT, Call, Command,
    Engine, Session)

cdef enum:
    HANDLER = 1                 # places on the main stack
    REAL_GLOBALS = 2
    NAME_KEYS = 3
    NAME_ARGV = 4
    BASE = 4
    HOOK_EVERY = 100000         # instructions
    PUMP_EVERY_US = 2000
    COLLECT_EVERY = 50          # runs
    REPLICATE_ALL = 3           # AOF 1, replicas 2


cdef class Script:
    """A compiled script."""


# ---- errors ----

cdef int handle_error(State* L) noexcept:
    """Turn whatever was raised into {err, source, line} (the handler of every script)."""
    cdef Activation ar
    cdef bint placed = False
    lua.settop(L, 1)
    if lua.getstack(L, 1, &ar):
        lua.getinfo(L, b"Sl", &ar)
        placed = True
        if ar.what[0] == c'C':
            placed = lua.getstack(L, 2, &ar) != 0
            if placed:
                lua.getinfo(L, b"Sl", &ar)
    if lua.type(L, 1) != TABLE:
        lua.createtable(L, 0, 3)
        lua.pushstring(L, b"ERR ")
        if lua.isstring(L, 1):
            lua.pushvalue(L, 1)
        elif lua.type(L, 1) == 0:
            lua.pushstring(L, b"nil")
        elif lua.type(L, 1) == 1:
            lua.pushstring(L, b"true" if lua.toboolean(L, 1) else b"false")
        else:
            lua.pushstring(L, lua.typename_(L, lua.type(L, 1)))
        lua.concat(L, 2)
        lua.setfield(L, -2, b"err")
        lua.replace(L, 1)
    if placed:
        lua.pushstring(L, b"source")
        lua.pushstring(L, ar.source)
        lua.rawset(L, 1)
        lua.pushstring(L, b"line")
        lua.pushnumber(L, ar.currentline)
        lua.rawset(L, 1)
    return 1


cdef int raise_error(State* L, const char* text) noexcept:
    push_error(L, text, strlen(text), False)
    return lua.error(L)


# ---- redis.call ----

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
    """Fill w.argv from the stack; the number of arguments, or 0: an error was pushed."""
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
    """Make the call whose words lie on the stack and push its reply; 1: it is an error."""
    cdef World w = <World>place
    cdef Engine e = w.engine
    cdef Session s = w.session
    cdef Call c
    cdef bint stream_on = e.stream_on
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
    e.stream_on = stream_on
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


# ---- the rest of the `redis` library ----

cdef int api_error_reply(State* L) noexcept:
    cdef const char* text
    cdef size_t n = 0
    if lua.gettop(L) != 1 or lua.type(L, 1) != STRING:
        push_error(L, b"ERR wrong number or type of arguments", 37, False)
        return 1
    text = lua.tolstring(L, 1, &n)
    n = strlen(text)
    if text[0] == c'-':
        text += 1
        n -= 1
    push_error(L, text, n, False)
    return 1


cdef int api_status_reply(State* L) noexcept:
    if lua.gettop(L) != 1 or lua.type(L, 1) != STRING:
        push_error(L, b"ERR wrong number or type of arguments", 37, False)
        return 1
    lua.createtable(L, 0, 1)
    lua.pushvalue(L, 1)
    lua.setfield(L, -2, b"ok")
    return 1


cdef void push_sha1(State* L, const char* p, size_t n) noexcept:
    cdef bytes digest = sha1(p[:n], usedforsecurity=False).hexdigest().encode()
    lua.pushlstring(L, digest, 40)


cdef int api_sha1hex(State* L) noexcept:
    cdef size_t n = 0
    cdef const char* p
    if lua.gettop(L) != 1:
        return raise_error(L, b"ERR wrong number of arguments")
    p = lua.tolstring(L, 1, &n)
    push_sha1(L, p, n)
    return 1


cdef void write_log(void* place, int level, const char* p, size_t n) noexcept:
    cdef World w = <World>place
    node = w.engine.node
    if node is None:
        return
    text = p[:n].decode("utf-8", "backslashreplace")
    node.log.write(("debug", "verbose", "notice", "warning")[level], text)


cdef int api_log(State* L) noexcept:
    cdef int argc = lua.gettop(L)
    cdef int i, level, parts = 0
    cdef size_t n = 0
    cdef const char* p
    if argc < 2:
        return raise_error(L, b"ERR redis.log() requires two arguments or more.")
    if not lua.isnumber(L, 1):
        return raise_error(L, b"ERR First argument must be a number (log level).")
    level = <int>lua.tonumber(L, 1)
    if level < 0 or level > 3:
        return raise_error(L, b"ERR Invalid debug level.")
    lua.checkstack(L, 2 * argc)
    for i in range(2, argc + 1):
        if lua.isstring(L, i):
            if i > 2:
                lua.pushlstring(L, b" ", 1)
                parts += 1
            lua.pushvalue(L, i)
            parts += 1
    lua.concat(L, parts)
    p = lua.tolstring(L, -1, &n)
    write_log(lua.touserdata(L, UPVALUE_1), level, p, n)
    return 0


cdef void set_resp(void* place, int resp) noexcept:
    (<World>place).session.resp = resp


cdef int api_setresp(State* L) noexcept:
    cdef double resp
    if lua.gettop(L) != 1:
        return raise_error(L, b"ERR redis.setresp() requires one argument.")
    resp = lua.tonumber(L, 1)
    if <int>resp != 2 and <int>resp != 3:
        return raise_error(L, b"ERR RESP version must be 2 or 3.")
    set_resp(lua.touserdata(L, UPVALUE_1), <int>resp)
    return 0


cdef void set_replicate(void* place, int whom) noexcept:
    (<World>place).replicate = whom


cdef int api_set_repl(State* L) noexcept:
    cdef int whom
    if lua.gettop(L) != 1:
        return raise_error(L, b"ERR redis.set_repl() requires one argument.")
    whom = <int>lua.tonumber(L, 1)
    if whom & ~REPLICATE_ALL:
        return raise_error(
            L, b"ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
    set_replicate(lua.touserdata(L, UPVALUE_1), whom)
    return 0


cdef int api_replicate_commands(State* L) noexcept:
    lua.pushboolean(L, 1)
    return 1


cdef int api_breakpoint(State* L) noexcept:
    lua.pushboolean(L, 0)
    return 1


cdef int api_debug(State* L) noexcept:
    return 0


cdef int check_acl(State* L, void* place) noexcept:
    """1: allowed, 0: not, -1: no such command, -2: an error was pushed."""
    cdef World w = <World>place
    cdef int argc = take_arguments(w, L)
    cdef Command* cmd
    if argc == 0:
        return -2
    cmd = command_of(w, argc)
    if cmd == NULL:
        return -1
    check = getattr(w.engine.node, "acl_allows", None)
    if check is None:
        return 1
    return 1 if check(
        w.caller, (<bytes>cmd.name).decode(), [slice_bytes(w.argv[i]) for i in range(argc)]) else 0


cdef int api_acl_check_cmd(State* L) noexcept:
    cdef int verdict = check_acl(L, lua.touserdata(L, UPVALUE_1))
    if verdict == -2:
        return lua.error(L)
    if verdict == -1:
        return raise_error(L, b"ERR Invalid command passed to redis.acl_check_cmd()")
    lua.pushboolean(L, verdict)
    return 1


# ---- math.random: the same numbers everywhere (drand48's generator) ----

cdef uint64_t draw(void* place) noexcept:
    cdef World w = <World>place
    w.luck = (w.luck * 0x5DEECE66Dull + 0xB) & 0xFFFFFFFFFFFFull
    return w.luck >> 17


cdef void seed(void* place, int32_t value) noexcept:
    (<World>place).luck = (<uint64_t><unsigned int>value << 16) | 0x330E


cdef int math_random(State* L) noexcept:
    cdef double r = <double>(draw(lua.touserdata(L, UPVALUE_1)) % 2147483647) / 2147483647.0
    cdef int argc = lua.gettop(L)
    cdef int low = 1, high
    if argc == 0:
        lua.pushnumber(L, r)
        return 1
    if argc > 2:
        return raise_text(L, b"wrong number of arguments")
    if argc == 2:
        low = <int>lua.checkinteger(L, 1)
    high = <int>lua.checkinteger(L, argc)
    if low > high:
        return lua.argerror(L, argc, b"interval is empty")
    lua.pushnumber(L, floor(r * (<double>high - low + 1)) + low)
    return 1


cdef int math_randomseed(State* L) noexcept:
    seed(lua.touserdata(L, UPVALUE_1), <int32_t>lua.checkinteger(L, 1))
    return 0


# ---- a script that runs too long ----

cdef void count_hook(State* L, Activation* ar) noexcept:
    cdef void* place
    lua.getfield(L, REGISTRY, b"holdfast.world")
    place = lua.touserdata(L, -1)
    pop(L, 1)
    if interrupt(place):
        lua.sethook(L, count_hook, MASK_LINE, 0)    # again on each line: no pcall of the script stops this
        raise_error(L, b"ERR Script killed by user with SCRIPT KILL...")


cdef bint interrupt(void* place) noexcept:
    """Look at the clock; past the limit serve other clients. True: the script is to end."""
    cdef World w = <World>place
    cdef Engine e = w.engine
    cdef Session current = e.current
    cdef Slice* argv = e.argv
    cdef int argv_cap = e.argv_cap
    cdef int call_effects = e.call_effects
    cdef ExpiryMode mode = <ExpiryMode>e.ks.expiry_mode
    cdef bint no_touch = e.ks.no_touch
    cdef int64_t now, limit_ms
    node = e.node
    if node is None or w.killed:
        return w.killed
    now = node.host.clock.boot_us()
    if w.started_us == 0:
        w.started_us = now
        return False
    if not w.busy:
        limit_ms = node.configuration["busy-reply-threshold"]
        if limit_ms <= 0 or now - w.started_us < limit_ms * 1000:
            return False
        node.log.warning(
            f"Slow script detected: still in execution after {(now - w.started_us) // 1000} milliseconds. "
            f"You can try killing the script using the SCRIPT KILL command. Script name is: "
            f"{w.running.sha.decode()}.")
        w.busy = True
        e.guard |= GUARD_BUSY
    elif now - w.pumped_us < PUMP_EVERY_US:
        return False
    w.pumped_us = now
    e.argv = NULL
    e.argv_cap = 0
    try:
        node.pump()
    finally:
        free(e.argv)
        e.argv = argv
        e.argv_cap = argv_cap
        e.current = current
        e.call_effects = call_effects
        e.ks.expiry_mode = mode
        e.ks.no_touch = no_touch
    return w.killed


# ---- the world ----

_FLAGS = {
    b"no-writes": SCRIPT_NO_WRITES, b"allow-oom": SCRIPT_ALLOW_OOM, b"allow-stale": SCRIPT_ALLOW_STALE,
    b"no-cluster": SCRIPT_NO_CLUSTER, b"allow-cross-slot-keys": SCRIPT_CROSS_SLOT,
}
VERSION = "7.2.5"
VERSION_NUMBER = 0x00070205


cdef tuple read_shebang(bytes body):
    """(flags, length of the line without its end, error or None) of a script."""
    cdef bytes word, flag
    cdef int flags = 0
    if not body.startswith(b"#!"):
        return SCRIPT_COMPAT, 0, None
    end = body.find(b"\n")
    if end < 0:
        return 0, 0, b"ERR Invalid script shebang"
    words = body[:end].split()
    if words[0] != b"#!lua":
        return 0, 0, b"ERR Unexpected engine in script shebang: " + words[0]
    for word in words[1:]:
        if not word.startswith(b"flags="):
            return 0, 0, b"ERR Unknown lua shebang option: " + word
        for flag in word[6:].split(b","):
            if flag not in _FLAGS:
                if word == b"flags=":
                    continue
                return 0, 0, b"ERR Unexpected flag in script shebang: " + flag
            flags |= _FLAGS[flag]
    return flags, end, None


cdef class World:
    """All that the scripts of one engine share."""

    def __cinit__(self, Engine engine):
        load_lua()
        self.engine = engine
        self.session = Session(engine, None)
        self.session.flags |= S_SCRIPT | S_DENY_BLOCKING
        self.by_body = {}
        self.by_sha = {}
        self.luck = (<uint64_t>0x1234ABCD << 16) | 0x330E
        self.start()

    def __dealloc__(self):
        if self.L != NULL:
            lua.close(self.L)
        free(self.argv)
        buf_free(&self.digits)

    cdef void method(self, const char* name, Function function) noexcept:
        """Declare a function that works for this world in the table on top."""
        lua.pushlightuserdata(self.L, <void*>self)
        lua.pushcclosure(self.L, function, 1)
        lua.setfield(self.L, -2, name)

    cdef void constant(self, const char* name, double value) noexcept:
        lua.pushnumber(self.L, value)
        lua.setfield(self.L, -2, name)

    cdef int start(self) except -1:
        """Make the state of Lua and fill it."""
        cdef State* L = lua.newstate()
        if L == NULL:
            raise MemoryError
        self.L = L
        lua.pushlightuserdata(L, <void*>self)
        lua.setfield(L, REGISTRY, b"holdfast.world")
        lua.pushcclosure(L, handle_error, 0)
        open_libraries(L)
        lua.pushvalue(L, HANDLER)
        lua.setfield(L, REAL_GLOBALS, b"__redis__err__handler")
        lua.createtable(L, 0, 32)
        self.method(b"call", api_call)
        self.method(b"pcall", api_pcall)
        self.method(b"log", api_log)
        self.method(b"setresp", api_setresp)
        self.method(b"set_repl", api_set_repl)
        self.method(b"acl_check_cmd", api_acl_check_cmd)
        add(L, b"error_reply", api_error_reply)
        add(L, b"status_reply", api_status_reply)
        add(L, b"sha1hex", api_sha1hex)
        add(L, b"replicate_commands", api_replicate_commands)
        add(L, b"breakpoint", api_breakpoint)
        add(L, b"debug", api_debug)
        self.constant(b"LOG_DEBUG", 0)
        self.constant(b"LOG_VERBOSE", 1)
        self.constant(b"LOG_NOTICE", 2)
        self.constant(b"LOG_WARNING", 3)
        self.constant(b"REPL_NONE", 0)
        self.constant(b"REPL_AOF", 1)
        self.constant(b"REPL_SLAVE", 2)
        self.constant(b"REPL_REPLICA", 2)
        self.constant(b"REPL_ALL", REPLICATE_ALL)
        self.constant(b"REDIS_VERSION_NUM", VERSION_NUMBER)
        version = VERSION.encode()
        lua.pushstring(L, version)
        lua.setfield(L, -2, b"REDIS_VERSION")
        lua.setfield(L, REAL_GLOBALS, b"redis")
        lua.getfield(L, REAL_GLOBALS, b"math")
        self.method(b"random", math_random)
        self.method(b"randomseed", math_randomseed)
        pop(L, 1)
        seal(L, REAL_GLOBALS)
        lua.pushstring(L, b"KEYS")
        lua.pushstring(L, b"ARGV")
        return 0

    cdef int forget(self) except -1:
        """Forget all scripts and begin with a new state (SCRIPT FLUSH)."""
        lua.close(self.L)
        self.L = NULL
        self.by_body = {}
        self.by_sha = {}
        return self.start()

    @property
    def used_bytes(self):
        """Memory that Lua takes."""
        return lua.gc(self.L, 3, 0) * 1024

    @property
    def script_count(self):
        """How many scripts are known."""
        return len(self.by_sha)

    @property
    def script_bytes(self):
        """Memory that the bodies of the known scripts take."""
        return sum(len(body) for body in self.by_body)

    cdef Script compile(self, Session s, bytes body):
        """The script of a body; None: it does not compile, and that was answered."""
        cdef Script script
        cdef State* L = self.L
        cdef bytes rest
        flags, start, error = read_shebang(body)
        if error is not None:
            reply_error_bytes(s, error)
            return None
        rest = body[start:]
        if rest[:1] == b"\x1b":
            reply_error(
                s, b"ERR Error compiling script (new function): user_script: precompiled code is not allowed")
            return None
        if lua.loadbuffer(L, rest, len(rest), b"@user_script"):
            reply_error_bytes(s, b"ERR Error compiling script (new function): " + lua.tolstring(L, -1, NULL))
            lua.settop(L, BASE)
            return None
        script = Script.__new__(Script)
        script.body = body
        script.sha = sha1(body, usedforsecurity=False).hexdigest().encode()
        script.flags = flags
        script.function = lua.ref(L, REGISTRY)
        self.by_body[body] = script
        self.by_sha[script.sha] = script
        return script

    cdef void set_words(self, int name, Slice* words, int count) noexcept:
        cdef State* L = self.L
        cdef int i
        lua.pushvalue(L, name)
        lua.createtable(L, count, 0)
        for i in range(count):
            lua.pushlstring(L, words[i].ptr, words[i].len)
            lua.rawseti(L, -2, i + 1)
        lua.rawset(L, REAL_GLOBALS)

    cdef int run(
            self, Session s, Script script, Slice* keys, int key_count, Slice* args, int arg_count) except -1:
        """Run a script whose rules have been checked, and reply."""
        cdef Engine e = self.engine
        cdef State* L = self.L
        cdef bint nested = s.flags & S_EXECUTING
        cdef int failed
        self.running = script
        self.caller = s
        self.session.db = s.db
        self.session.resp = 2
        self.session.user = s.user
        self.wrote = False
        self.slot = key_slot(keys[0].ptr, keys[0].len) if key_count and e.guard & GUARD_CLUSTER else -1
        self.replicate = REPLICATE_ALL
        self.started_us = 0
        self.busy = False
        self.killed = False
        lua.sethook(L, count_hook, MASK_COUNT, HOOK_EVERY)
        self.set_words(NAME_KEYS, keys, key_count)
        self.set_words(NAME_ARGV, args, arg_count)
        lua.rawgeti(L, REGISTRY, script.function)
        s.flags |= S_EXECUTING
        unit_open(e)
        failed = lua.pcall(L, 0, 1, HANDLER)
        unit_close(e)
        effect_none(e)
        if not nested:
            s.flags &= ~S_EXECUTING
        self.running = None
        self.caller = None
        if self.busy:
            self.busy = False
            e.guard &= ~GUARD_BUSY
            e.node.pump_ended()
        self.runs += 1
        if self.runs == COLLECT_EVERY:
            lua.gc(L, GC_STEP, COLLECT_EVERY)
            self.runs = 0
        if failed:
            self.reply_failure(s, script)
        else:
            reply_from_lua(s, L, self.session.resp)
        lua.settop(L, BASE)
        return 0

    cdef int reply_failure(self, Session s, Script script) except -1:
        """Reply with the error on top of the stack."""
        cdef State* L = self.L
        cdef bytes text = None
        cdef bint counted
        cdef bytes where = b""
        if lua.type(L, -1) != TABLE:
            text = lua.tolstring(L, -1, NULL) if lua.isstring(L, -1) else b"execution failure"
            reply_error_bytes(s, b"ERR Error running script %s, %s" % (script.sha, text[:100]))
            return 0
        found = {}
        for name in (b"err", b"source", b"line"):
            lua.pushlstring(L, name, len(name))
            lua.rawget(L, -2)
            found[name] = <bytes>lua.tolstring(L, -1, NULL) if lua.isstring(L, -1) else None
            pop(L, 1)
        lua.pushstring(L, b"ignore_error_stats_update")
        lua.rawget(L, -2)
        counted = lua.toboolean(L, -1)
        pop(L, 1)
        if found[b"source"] is not None and found[b"line"] is not None:
            where = b" script: %s, on %s:%s." % (script.sha, found[b"source"], found[b"line"])
        text = found[b"err"]
        return reply_error_line(s, (b"ERR unknown error" if text is None else text) + where, counted)


cdef World world_of(Engine e):
    if e.script_engine is None:
        e.script_engine = World(e)
    return <World>e.script_engine
