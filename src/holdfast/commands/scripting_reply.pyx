"""Replies become Lua values, and Lua values replies.

What it is: the conversions of https://redis.io/docs/interact/programmability/lua-api/#data-type-conversion,
straight between the reply buffer and Lua's stack. What it is not: calling.
Only raw access is used on tables of scripts: a metamethod that raises an error
outside of a protected call would end the process.
"""

from libc.stdint cimport int64_t
from libc.stdlib cimport strtod
from libc.string cimport memchr, memcpy, strlen
from holdfast.commands.scripting_lua cimport BOOLEAN, NIL, NUMBER, STRING, TABLE, State, lua, pop
from holdfast.engine.reply cimport (
    reply_array_at, reply_bool, reply_bulk, reply_double, reply_error, reply_error_bytes, reply_int,
    reply_later,
    reply_map_at, reply_null, reply_raw, reply_set_at, reply_verbatim)
from holdfast.engine.state cimport Session


# ---- reply to Lua ----

cdef const char* line_end(const char* p) noexcept:
    while p[0] != c'\r':
        p += 1
    return p


cdef int64_t number_at(const char* p) noexcept:
    cdef int64_t v = 0
    cdef bint negative = p[0] == c'-'
    if negative or p[0] == c'+':
        p += 1
    while c'0' <= p[0] <= c'9':
        v = v * 10 + (p[0] - c'0')
        p += 1
    return -v if negative else v


cdef void push_field(State* L, const char* name, const char* p, size_t n) noexcept:
    """Push {name = text}."""
    lua.createtable(L, 0, 1)
    lua.pushlstring(L, p, n)
    lua.setfield(L, -2, name)


cdef void push_error(State* L, const char* p, size_t n, bint counted) noexcept:
    lua.createtable(L, 0, 2)
    if memchr(p, c' ', n) == NULL:          # a text without code gets one
        lua.pushlstring(L, b"ERR ", 4)
        lua.pushlstring(L, p, n)
        lua.concat(L, 2)
    else:
        lua.pushlstring(L, p, n)
    lua.setfield(L, -2, b"err")
    if counted:
        lua.pushboolean(L, 1)
        lua.setfield(L, -2, b"ignore_error_stats_update")


cdef const char* push_array(State* L, const char* p, int64_t count) noexcept:
    cdef int64_t i
    lua.createtable(L, <int>count, 0)
    for i in range(1, count + 1):
        p = push_reply(L, p)
        lua.rawseti(L, -2, <int>i)
    return p


cdef const char* push_keyed(State* L, const char* p, int64_t count, bint pairs) noexcept:
    """Push {map = {...}} or {set = {member = true}}."""
    cdef int64_t _
    lua.createtable(L, 0, 1)
    lua.createtable(L, 0, <int>count)
    for _ in range(count):
        p = push_reply(L, p)
        if pairs:
            p = push_reply(L, p)
        else:
            lua.pushboolean(L, 1)
        if lua.type(L, -2) == NIL:
            pop(L, 2)
        else:
            lua.rawset(L, -3)
    lua.setfield(L, -2, b"map" if pairs else b"set")
    return p


cdef const char* push_reply(State* L, const char* p) noexcept:
    cdef char mark = p[0]
    cdef const char* end = line_end(p)
    cdef const char* after = end + 2
    cdef int64_t n
    cdef size_t length = end - p - 1
    lua.checkstack(L, 6)
    if mark == c'$':
        n = number_at(p + 1)
        if n < 0:
            lua.pushboolean(L, 0)
            return after
        lua.pushlstring(L, after, n)
        return after + n + 2
    if mark == c':':
        lua.pushnumber(L, <double>number_at(p + 1))
    elif mark == c'+':
        push_field(L, b"ok", p + 1, length)
    elif mark == c'-':
        push_error(L, p + 1, length, True)
    elif mark == c'*' or mark == c'>':
        n = number_at(p + 1)
        if n >= 0:
            return push_array(L, after, n)
        lua.pushboolean(L, 0)
    elif mark == c'%':
        return push_keyed(L, after, number_at(p + 1), True)
    elif mark == c'~':
        return push_keyed(L, after, number_at(p + 1), False)
    elif mark == c'#':
        lua.pushboolean(L, p[1] == c't')
    elif mark == c',':
        lua.createtable(L, 0, 1)
        lua.pushnumber(L, strtod(p + 1, NULL))
        lua.setfield(L, -2, b"double")
    elif mark == c'(':
        push_field(L, b"big_number", p + 1, length)
    elif mark == c'=':
        n = number_at(p + 1)
        lua.createtable(L, 0, 1)
        lua.createtable(L, 0, 2)
        lua.pushlstring(L, after + 4, n - 4)
        lua.setfield(L, -2, b"string")
        lua.pushlstring(L, after, 3)
        lua.setfield(L, -2, b"format")
        lua.setfield(L, -2, b"verbatim_string")
        return after + n + 2
    elif mark == c'|':                      # attributes are passed over
        n = 2 * number_at(p + 1)
        p = after
        while n > 0:
            p = push_reply(L, p)
            pop(L, 1)
            n -= 1
        return push_reply(L, p)
    else:
        lua.pushnil(L)
    return after


# ---- Lua to reply ----

cdef int field(State* L, const char* name) noexcept:
    """Push a field of the table on top, raw; returns its type."""
    lua.pushstring(L, name)
    lua.rawget(L, -2)
    return lua.type(L, -1)


cdef bytes text_on_top(State* L):
    cdef size_t n = 0
    cdef const char* p = lua.tolstring(L, -1, &n)
    return p[:n]


cdef int reply_error_line(Session s, bytes text, bint counted) except -1:
    if not counted:
        reply_error_bytes(s, text)
        return 0
    text = b"-" + text.strip(b"\r\n").replace(b"\r", b" ").replace(b"\n", b" ") + b"\r\n"
    reply_raw(s, text, len(text))
    return 0


cdef int reply_table(Session s, State* L, int resp) except -1:
    cdef size_t n = 0, at, count
    cdef const char* p
    cdef char form[4]
    cdef bytes text
    cdef bint counted
    if field(L, b"err") == STRING:
        text = text_on_top(L).split(b"\0", 1)[0]
        pop(L, 1)
        counted = field(L, b"ignore_error_stats_update") == BOOLEAN and lua.toboolean(L, -1)
        pop(L, 1)
        return reply_error_line(s, text, counted)
    pop(L, 1)
    if field(L, b"ok") == STRING:
        text = text_on_top(L).split(b"\0", 1)[0].replace(b"\r", b" ").replace(b"\n", b" ")
        pop(L, 1)
        text = b"+" + text + b"\r\n"
        reply_raw(s, text, len(text))
        return 0
    pop(L, 1)
    if field(L, b"double") == NUMBER:
        reply_double(s, lua.tonumber(L, -1))
        pop(L, 1)
        return 0
    pop(L, 1)
    if field(L, b"big_number") == STRING:
        text = text_on_top(L).replace(b"\r", b" ").replace(b"\n", b" ")
        pop(L, 1)
        if s.resp == 3:
            text = b"(" + text + b"\r\n"
            reply_raw(s, text, len(text))
        else:
            reply_bulk(s, text, len(text))
        return 0
    pop(L, 1)
    if field(L, b"verbatim_string") == TABLE:
        if field(L, b"format") == STRING:
            p = lua.tolstring(L, -1, NULL)
            n = strlen(p)
            memcpy(form, b"   ", 4)
            memcpy(form, p, n if n < 3 else 3)
            lua.pushstring(L, b"string")
            lua.rawget(L, -3)
            if lua.type(L, -1) == STRING:
                p = lua.tolstring(L, -1, &n)
                reply_verbatim(s, form, p, n)
                pop(L, 3)
                return 0
            pop(L, 1)
        pop(L, 1)
    pop(L, 1)
    if field(L, b"map") == TABLE:
        at = reply_later(s)
        count = 0
        lua.pushnil(L)
        while lua.next(L, -2):
            lua.pushvalue(L, -2)
            reply_from_lua(s, L, resp)
            reply_from_lua(s, L, resp)
            count += 1
        reply_map_at(s, at, count)
        pop(L, 1)
        return 0
    pop(L, 1)
    if field(L, b"set") == TABLE:
        at = reply_later(s)
        count = 0
        lua.pushnil(L)
        while lua.next(L, -2):
            pop(L, 1)
            lua.pushvalue(L, -1)
            reply_from_lua(s, L, resp)
            count += 1
        reply_set_at(s, at, count)
        pop(L, 1)
        return 0
    pop(L, 1)
    at = reply_later(s)
    count = 0
    while True:
        lua.rawgeti(L, -1, <int>count + 1)
        if lua.type(L, -1) == NIL:
            pop(L, 1)
            break
        reply_from_lua(s, L, resp)
        count += 1
    reply_array_at(s, at, count)
    return 0


cdef int reply_from_lua(Session s, State* L, int resp) except -1:
    cdef int kind = lua.type(L, -1)
    cdef size_t n = 0
    cdef const char* p
    cdef double value
    if not lua.checkstack(L, 5):
        reply_error(s, b"ERR reached lua stack limit")
    elif kind == STRING:
        p = lua.tolstring(L, -1, &n)
        reply_bulk(s, p, n)
    elif kind == BOOLEAN:
        if resp == 3:
            reply_bool(s, lua.toboolean(L, -1))
        elif lua.toboolean(L, -1):
            reply_int(s, 1)
        else:
            reply_null(s)
    elif kind == NUMBER:
        value = lua.tonumber(L, -1)
        if -9223372036854775808.0 <= value < 9223372036854775808.0:
            reply_int(s, <int64_t>value)
        else:
            reply_int(s, -9223372036854775807 - 1)
    elif kind == TABLE:
        reply_table(s, L, resp)
    else:
        reply_null(s)
    pop(L, 1)
    return 0
