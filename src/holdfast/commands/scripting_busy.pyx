"""A script that runs too long: other clients are served meanwhile, and may kill it.

A script holds the event loop. When it has run for longer than busy-reply-threshold,
the hook that Lua calls every so many instructions lets the node serve its clients
without the loop (`node.pump`); GUARD_BUSY answers them.

How to read it: `watch_run` and `end_watch` stand around a run; `interrupt` is what
happens in between.
"""

from libc.stdint cimport int64_t
from libc.stdlib cimport free
from holdfast.commands.scripting_errors cimport raise_error
from holdfast.commands.scripting_lua cimport MASK_COUNT, MASK_LINE, REGISTRY, Activation, State, lua, pop
from holdfast.commands.scripting_world cimport World
from holdfast.engine.buf cimport Slice
from holdfast.engine.keyspace cimport ExpiryMode
from holdfast.engine.state cimport GUARD_BUSY, Engine, Session

cdef enum:
    HOOK_EVERY = 100000         # instructions
    PUMP_EVERY_US = 2000


cdef void watch_run(World w) noexcept:
    w.started_us = 0
    w.busy = False
    w.killed = False
    lua.sethook(w.L, count_hook, MASK_COUNT, HOOK_EVERY)


cdef int end_watch(World w) except -1:
    if w.busy:
        w.busy = False
        w.engine.guard &= ~GUARD_BUSY
        w.engine.node.pump_ended()
    return 0


cdef void count_hook(State* L, Activation* ar) noexcept:
    cdef void* place
    lua.getfield(L, REGISTRY, b"holdfast.world")
    place = lua.touserdata(L, -1)
    pop(L, 1)
    if interrupt(place):
        lua.sethook(L, count_hook, MASK_LINE, 0)    # again on each line: no pcall of the script stops this
        raise_error(L, b"ERR Script killed by user with SCRIPT KILL...")


cdef bint interrupt(void* place) noexcept:
    """Look at the clock; past the limit serve other clients. True: the script is to end.

    No exception may cross Lua's frames: a fault of ours is told, and the script goes on.
    """
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
    except Exception as fault:
        if e.on_fault is not None:
            e.on_fault(fault, b"busy-reply-threshold")
    finally:
        free(e.argv)
        e.argv = argv
        e.argv_cap = argv_cap
        e.current = current
        e.call_effects = call_effects
        e.ks.expiry_mode = mode
        e.ks.no_touch = no_touch
    return w.killed
