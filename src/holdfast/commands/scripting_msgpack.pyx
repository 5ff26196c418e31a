"""The `cmsgpack` library of scripts: MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md)."""

from libc.math cimport floor
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from holdfast.commands.scripting_lua cimport (
    BOOLEAN, NIL, NUMBER, STRING, TABLE, State, add, lua, pop, raise_text)
from holdfast.engine.buf cimport Buf, buf_append, buf_free

cdef enum:
    DEEPEST = 16                # what lies deeper is packed as nil
    MISSING = 1
    BAD = 2

cdef struct Source:
    const uint8_t* at
    size_t left
    int wrong                   # 0, MISSING or BAD


# ---- packing ----

cdef void put(Buf* b, uint8_t mark, uint64_t value, int size) noexcept:
    """Append a mark and the `size` low bytes of a value, high byte first."""
    cdef char raw[9]
    cdef int i
    raw[0] = <char>mark
    for i in range(size):
        raw[1 + i] = <char>(value >> (8 * (size - 1 - i)))
    buf_append(b, raw, 1 + size)


cdef void put_integer(Buf* b, int64_t v) noexcept:
    if v >= 0:
        if v <= 127:
            put(b, <uint8_t>v, 0, 0)
        elif v <= 0xff:
            put(b, 0xcc, v, 1)
        elif v <= 0xffff:
            put(b, 0xcd, v, 2)
        elif v <= 0xffffffff:
            put(b, 0xce, v, 4)
        else:
            put(b, 0xcf, v, 8)
    elif v >= -32:
        put(b, <uint8_t>v, 0, 0)
    elif v >= -128:
        put(b, 0xd0, v, 1)
    elif v >= -32768:
        put(b, 0xd1, v, 2)
    elif v >= -2147483648:
        put(b, 0xd2, v, 4)
    else:
        put(b, 0xd3, v, 8)


cdef void put_number(Buf* b, double value) noexcept:
    cdef float single = <float>value
    cdef uint32_t raw4
    cdef uint64_t raw8
    if -9223372036854775808.0 <= value < 9223372036854775808.0 and floor(value) == value:
        put_integer(b, <int64_t>value)
    elif <double>single == value:
        memcpy(&raw4, &single, 4)
        put(b, 0xca, raw4, 4)
    else:
        memcpy(&raw8, &value, 8)
        put(b, 0xcb, raw8, 8)


cdef void put_count(
        Buf* b, uint64_t n, uint8_t small, uint64_t small_max, uint8_t mark8, uint8_t mark16) noexcept:
    """The head of a string, array or map; mark8 0: there is no form of one byte."""
    if n <= small_max:
        put(b, <uint8_t>(small | n), 0, 0)
    elif mark8 and n <= 0xff:
        put(b, mark8, n, 1)
    elif n <= 0xffff:
        put(b, mark16, n, 2)
    else:
        put(b, mark16 + 1, n, 4)


cdef void put_table(State* L, Buf* b, int depth) noexcept:
    cdef uint64_t count = 0, longest = 0, i
    cdef double key
    cdef bint is_array = True
    lua.pushnil(L)
    while lua.next(L, -2):
        pop(L, 1)
        count += 1
        key = lua.tonumber(L, -1) if lua.type(L, -1) == NUMBER else 0
        if key < 1 or key > 2147483647 or floor(key) != key:
            is_array = False
        elif key > longest:
            longest = <uint64_t>key
    if is_array and longest == count:
        put_count(b, count, 0x90, 15, 0, 0xdc)
        for i in range(1, count + 1):
            lua.rawgeti(L, -1, <int>i)
            put_value(L, b, depth)
        return
    put_count(b, count, 0x80, 15, 0, 0xde)
    lua.pushnil(L)
    while lua.next(L, -2):
        lua.pushvalue(L, -2)
        put_value(L, b, depth)
        put_value(L, b, depth)


cdef void put_value(State* L, Buf* b, int depth) noexcept:
    """Pack the value on top, and pop it."""
    cdef int kind = lua.type(L, -1)
    cdef size_t n = 0
    cdef const char* p
    lua.checkstack(L, 6)
    if kind == STRING:
        p = lua.tolstring(L, -1, &n)
        put_count(b, n, 0xa0, 31, 0xd9, 0xda)
        buf_append(b, p, n)
    elif kind == BOOLEAN:
        put(b, 0xc3 if lua.toboolean(L, -1) else 0xc2, 0, 0)
    elif kind == NUMBER:
        put_number(b, lua.tonumber(L, -1))
    elif kind == TABLE and depth < DEEPEST:
        put_table(L, b, depth + 1)
    else:
        put(b, 0xc0, 0, 0)
    pop(L, 1)


cdef int pack(State* L) noexcept:
    cdef int argc = lua.gettop(L)
    cdef int i
    cdef Buf b
    if argc == 0:
        return lua.argerror(L, 0, b"MessagePack pack needs input.")
    b.ptr = NULL
    b.len = 0
    b.cap = 0
    lua.checkstack(L, 6)
    for i in range(1, argc + 1):
        lua.pushvalue(L, i)
        put_value(L, &b, 0)
    lua.pushlstring(L, b.ptr, b.len)
    buf_free(&b)
    return 1


# ---- unpacking ----

cdef uint64_t take(Source* c, int size) noexcept:
    cdef uint64_t v = 0
    cdef int i
    if c.left < <size_t>size:
        c.wrong = MISSING
        return 0
    for i in range(size):
        v = (v << 8) | c.at[i]
    c.at += size
    c.left -= size
    return v


cdef void push_text(State* L, Source* c, uint64_t n) noexcept:
    if c.wrong or c.left < n:
        c.wrong = MISSING
        return
    lua.pushlstring(L, <const char*>c.at, n)
    c.at += n
    c.left -= n


cdef void push_array(State* L, Source* c, uint64_t n) noexcept:
    cdef uint64_t i
    lua.createtable(L, 0, 0)
    for i in range(1, n + 1):
        if c.wrong:
            return
        push_value(L, c)
        if not c.wrong:
            lua.rawseti(L, -2, <int>i)


cdef void push_map(State* L, Source* c, uint64_t n) noexcept:
    cdef uint64_t _
    lua.createtable(L, 0, 0)
    for _ in range(n):
        push_value(L, c)
        if c.wrong:
            return
        push_value(L, c)
        if c.wrong:
            return
        if lua.type(L, -2) == NIL or (
                lua.type(L, -2) == NUMBER and lua.tonumber(L, -2) != lua.tonumber(L, -2)):
            c.wrong = BAD           # no key of a table
            return
        lua.rawset(L, -3)


cdef void push_value(State* L, Source* c) noexcept:
    cdef uint8_t mark
    cdef uint32_t raw4
    cdef uint64_t raw8
    cdef float single
    cdef double value
    if not lua.checkstack(L, 8):
        c.wrong = BAD
        return
    mark = <uint8_t>take(c, 1)
    if c.wrong:
        return
    if mark <= 0x7f:
        lua.pushnumber(L, mark)
    elif mark >= 0xe0:
        lua.pushnumber(L, <int8_t>mark)
    elif mark <= 0x8f:
        push_map(L, c, mark & 15)
    elif mark <= 0x9f:
        push_array(L, c, mark & 15)
    elif mark <= 0xbf:
        push_text(L, c, mark & 31)
    elif mark == 0xc0:
        lua.pushnil(L)
    elif mark == 0xc2 or mark == 0xc3:
        lua.pushboolean(L, mark & 1)
    elif mark == 0xca:
        raw4 = <uint32_t>take(c, 4)
        memcpy(&single, &raw4, 4)
        lua.pushnumber(L, single)
    elif mark == 0xcb:
        raw8 = take(c, 8)
        memcpy(&value, &raw8, 8)
        lua.pushnumber(L, value)
    elif mark >= 0xcc and mark <= 0xcf:
        lua.pushnumber(L, <double>take(c, 1 << (mark - 0xcc)))
    elif mark == 0xd0:
        lua.pushnumber(L, <int8_t>take(c, 1))
    elif mark == 0xd1:
        lua.pushnumber(L, <int16_t>take(c, 2))
    elif mark == 0xd2:
        lua.pushnumber(L, <int32_t>take(c, 4))
    elif mark == 0xd3:
        lua.pushnumber(L, <double><int64_t>take(c, 8))
    elif mark >= 0xc4 and mark <= 0xc6:
        push_text(L, c, take(c, 1 << (mark - 0xc4)))
    elif mark >= 0xd9 and mark <= 0xdb:
        push_text(L, c, take(c, 1 << (mark - 0xd9)))
    elif mark == 0xdc or mark == 0xdd:
        push_array(L, c, take(c, 2 if mark == 0xdc else 4))
    elif mark == 0xde or mark == 0xdf:
        push_map(L, c, take(c, 2 if mark == 0xde else 4))
    else:
        c.wrong = BAD


cdef int unpack_values(State* L, ssize_t limit, ssize_t offset, bint with_offset) noexcept:
    cdef size_t n = 0
    cdef Source c
    cdef int count = 0
    cdef const char* p = lua.checklstring(L, 1, &n)
    if limit < 0 or offset < 0:
        return raise_text(L, b"Invalid request to unpack with a negative offset or limit.")
    if <size_t>offset > n:
        return raise_text(L, b"Start offset greater than input length.")
    c.at = <const uint8_t*>p + offset
    c.left = n - offset
    c.wrong = 0
    if with_offset:
        lua.pushnil(L)              # its place
    while c.left and (limit == 0 or count < limit):
        push_value(L, &c)
        if c.wrong:
            return raise_text(
                L, b"Missing bytes in input." if c.wrong == MISSING else b"Bad data format in input.")
        count += 1
    if with_offset:
        lua.pushnumber(L, <double>(n - c.left) if c.left else -1)
        lua.replace(L, -count - 2)
        count += 1
    return count


cdef int unpack(State* L) noexcept:
    return unpack_values(L, 0, 0, False)


cdef int unpack_one(State* L) noexcept:
    cdef ssize_t offset = lua.checkinteger(L, 2) if lua.type(L, 2) > NIL else 0
    lua.settop(L, 1)
    return unpack_values(L, 1, offset, True)


cdef int unpack_limit(State* L) noexcept:
    cdef ssize_t limit = lua.checkinteger(L, 2)
    cdef ssize_t offset = lua.checkinteger(L, 3) if lua.type(L, 3) > NIL else 0
    lua.settop(L, 1)
    return unpack_values(L, limit, offset, True)


cdef void constant(State* L, const char* name, const char* text) noexcept:
    lua.pushstring(L, text)
    lua.setfield(L, -2, name)


cdef void open_msgpack(State* L) noexcept:
    lua.createtable(L, 0, 8)
    add(L, b"pack", pack)
    add(L, b"unpack", unpack)
    add(L, b"unpack_one", unpack_one)
    add(L, b"unpack_limit", unpack_limit)
    constant(L, b"_NAME", b"cmsgpack")
    constant(L, b"_VERSION", b"lua-cmsgpack 0.4.0")
    constant(L, b"_COPYRIGHT", b"Copyright (C) 2012, Salvatore Sanfilippo")
    constant(L, b"_DESCRIPTION", b"MessagePack C implementation for Lua")
