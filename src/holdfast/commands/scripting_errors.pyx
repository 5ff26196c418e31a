"""Errors of scripts: how they are raised, and what becomes of them.

What it is: the way of an error from `raise_error`, or from Lua itself, through the
handler of every script to the line that the client reads. What it is not: errors that
a script passes on as values (`scripting_reply`).

A Lua error is a longjmp: a function that may raise one holds C values only, and leaves
everything Pythonic to one that returns. What Lua calls is `noexcept`, for a Python exception
cannot cross its frames: it touches Lua's stack alone, or sees to its own faults.
"""

from libc.string cimport strlen
from holdfast.commands.scripting_lua cimport TABLE, Activation, State, lua, pop
from holdfast.commands.scripting_reply cimport push_error, reply_error_line
from holdfast.commands.scripting_world cimport Script
from holdfast.engine.reply cimport reply_error_bytes
from holdfast.engine.state cimport Session


cdef int raise_error(State* L, const char* text) noexcept:
    push_error(L, text, strlen(text), False)
    return lua.error(L)


cdef int handle_error(State* L) noexcept:
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


cdef int reply_failure(Session s, State* L, Script script) except -1:
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
