"""What scripts find in `redis` (https://redis.io/docs/interact/programmability/lua-api/).

What it is: the table of the library, and its functions but for `call` and `pcall`
(`scripting_call`).

A Lua error is a longjmp: functions here that may raise one hold C values only, and
leave everything Pythonic to a function that returns (`scripting_errors`).

The index of the library is `open_redis` at the end.
"""

from hashlib import sha1

from libc.string cimport strlen
from holdfast.commands.scripting_call cimport api_call, api_pcall, command_of, take_arguments
from holdfast.commands.scripting_errors cimport raise_error
from holdfast.commands.scripting_lua cimport STRING, UPVALUE_1, State, add, lua
from holdfast.commands.scripting_reply cimport push_error
from holdfast.commands.scripting_world cimport REAL_GLOBALS, World
from holdfast.engine.buf cimport slice_bytes
from holdfast.engine.state cimport Command

VERSION = "7.2.5"
VERSION_NUMBER = 0x00070205


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
    """1: allowed, 0: not, or it cannot be told; -1: no such command, -2: an error was pushed."""
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


cdef int open_redis(World w) except -1:
    cdef State* L = w.L
    lua.createtable(L, 0, 32)
    w.method(b"call", api_call)
    w.method(b"pcall", api_pcall)
    w.method(b"log", api_log)
    w.method(b"setresp", api_setresp)
    w.method(b"set_repl", api_set_repl)
    w.method(b"acl_check_cmd", api_acl_check_cmd)
    add(L, b"error_reply", api_error_reply)
    add(L, b"status_reply", api_status_reply)
    add(L, b"sha1hex", api_sha1hex)
    add(L, b"replicate_commands", api_replicate_commands)
    add(L, b"breakpoint", api_breakpoint)
    add(L, b"debug", api_debug)
    w.constant(b"LOG_DEBUG", 0)
    w.constant(b"LOG_VERBOSE", 1)
    w.constant(b"LOG_NOTICE", 2)
    w.constant(b"LOG_WARNING", 3)
    w.constant(b"REPL_NONE", 0)
    w.constant(b"REPL_AOF", 1)
    w.constant(b"REPL_SLAVE", 2)
    w.constant(b"REPL_REPLICA", 2)
    w.constant(b"REPL_ALL", REPLICATE_ALL)
    w.constant(b"REDIS_VERSION_NUM", VERSION_NUMBER)
    version = VERSION.encode()
    lua.pushstring(L, version)
    lua.setfield(L, -2, b"REDIS_VERSION")
    lua.setfield(L, REAL_GLOBALS, b"redis")
    return 0
