"""Running scripts: a world is filled, a script runs in it and is answered.

What it is: the beginning and the end, of a world and of a run. What it is not: what a
script does in between (`scripting_call`, `scripting_library`), the sandbox
(`scripting_sandbox`), or the conversions (`scripting_reply`).
"""

from holdfast.commands.scripting_busy cimport end_watch, watch_run
from holdfast.commands.scripting_errors cimport handle_error, reply_failure
from holdfast.commands.scripting_library cimport REPLICATE_ALL, open_redis
from holdfast.commands.scripting_lua cimport GC_STEP, REGISTRY, State, lua
from holdfast.commands.scripting_random cimport open_random
from holdfast.commands.scripting_reply cimport reply_from_lua
from holdfast.commands.scripting_sandbox cimport open_libraries, seal
from holdfast.commands.scripting_world cimport (
    BASE, HANDLER, NAME_ARGV, NAME_KEYS, REAL_GLOBALS, Script, World)
from holdfast.engine.buf cimport Slice
from holdfast.engine.checksum cimport key_slot
from holdfast.engine.effects cimport effect_none, unit_close, unit_open
from holdfast.engine.state cimport GUARD_CLUSTER, S_EXECUTING, Engine, Session

cdef enum:
    COLLECT_EVERY = 50          # runs


cdef World world_of(Engine e):
    cdef World w
    if e.script_engine is None:
        w = World(e)
        start(w)
        e.script_engine = w
    return <World>e.script_engine


cdef int start(World w) except -1:
    """Make the state of Lua and fill it."""
    cdef State* L = lua.newstate()
    if L == NULL:
        raise MemoryError
    w.L = L
    lua.pushlightuserdata(L, <void*>w)
    lua.setfield(L, REGISTRY, b"holdfast.world")
    lua.pushcclosure(L, handle_error, 0)
    open_libraries(L)
    lua.pushvalue(L, HANDLER)
    lua.setfield(L, REAL_GLOBALS, b"__redis__err__handler")
    open_redis(w)
    open_random(w)
    seal(L, REAL_GLOBALS)
    lua.pushstring(L, b"KEYS")
    lua.pushstring(L, b"ARGV")
    return 0


cdef int forget_scripts(World w) except -1:
    lua.close(w.L)
    w.L = NULL
    w.by_body = {}
    w.by_sha = {}
    return start(w)


cdef void set_words(World w, int name, Slice* words, int count) noexcept:
    cdef State* L = w.L
    cdef int i
    lua.pushvalue(L, name)
    lua.createtable(L, count, 0)
    for i in range(count):
        lua.pushlstring(L, words[i].ptr, words[i].len)
        lua.rawseti(L, -2, i + 1)
    lua.rawset(L, REAL_GLOBALS)


cdef int run_script(
        World w, Session s, Script script, Slice* keys, int key_count, Slice* args, int arg_count) except -1:
    cdef Engine e = w.engine
    cdef State* L = w.L
    cdef bint nested = s.flags & S_EXECUTING
    cdef int failed
    w.running = script
    w.caller = s
    w.session.db = s.db
    w.session.resp = 2
    w.session.user = s.user
    w.wrote = False
    w.slot = key_slot(keys[0].ptr, keys[0].len) if key_count and e.guard & GUARD_CLUSTER else -1
    w.replicate = REPLICATE_ALL
    watch_run(w)
    set_words(w, NAME_KEYS, keys, key_count)
    set_words(w, NAME_ARGV, args, arg_count)
    lua.rawgeti(L, REGISTRY, script.function)
    s.flags |= S_EXECUTING
    unit_open(e)
    failed = lua.pcall(L, 0, 1, HANDLER)
    unit_close(e)
    effect_none(e)
    if not nested:
        s.flags &= ~S_EXECUTING
    w.running = None
    w.caller = None
    end_watch(w)
    w.runs += 1
    if w.runs == COLLECT_EVERY:
        lua.gc(L, GC_STEP, COLLECT_EVERY)
        w.runs = 0
    if failed:
        reply_failure(s, L, script)
    else:
        reply_from_lua(s, L, w.session.resp)
    lua.settop(L, BASE)
    return 0
