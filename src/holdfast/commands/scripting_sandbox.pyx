"""What scripts find as globals, and what keeps them from changing it.

What it is: Lua's libraries without those that reach out of the process, and
read-only views over the globals and every library. Lua 5.1 knows no read-only
tables: a view is an empty table whose metatable reads from the real one and
refuses writes, and the few functions that pass a metatable by (`next`, `pairs`,
`rawget`, `rawset`, `setmetatable`, `table.insert`) are replaced by ones that
know the views (a table from view to real table is their first upvalue).

Precompiled code is refused wherever code is loaded: Lua 5.1 does not check it.
Error texts are Redis's.
"""

from holdfast.commands.scripting_bits cimport open_bits
from holdfast.commands.scripting_json cimport open_json
from holdfast.commands.scripting_lua cimport (
    GLOBALS, MULTRET, NIL, TABLE, UPVALUE_1, UPVALUE_2, Function, State, add, lua, pop, raise_text)
from holdfast.commands.scripting_msgpack cimport open_msgpack
from holdfast.commands.scripting_struct cimport open_struct

cdef const char* READ_ONLY = b"Attempt to modify a readonly table"


cdef bint is_view(State* L, int index) noexcept:
    """Whether the value is a view; its real table, or nil, is pushed."""
    lua.pushvalue(L, index)
    lua.rawget(L, UPVALUE_1)
    return lua.type(L, -1) == TABLE


cdef int refuse(State* L) noexcept:
    lua.pushstring(L, READ_ONLY)
    return lua.error(L)


# ---- metamethods of views and globals ----

cdef int refuse_assignment(State* L) noexcept:
    return raise_text(L, READ_ONLY)


cdef int missing_global(State* L) noexcept:
    if not lua.isstring(L, 2):
        return raise_text(L, b"Second argument to luaProtectedTableError must be a string or number")
    lua.where(L, 1)
    lua.pushstring(L, b"Script attempted to access nonexistent global variable '")
    lua.pushvalue(L, 2)
    lua.pushstring(L, b"'")
    lua.concat(L, 4)
    return lua.error(L)


# ---- functions that know the views ----

cdef int next_(State* L) noexcept:
    lua.checktype(L, 1, TABLE)
    lua.settop(L, 2)
    if is_view(L, 1):
        lua.replace(L, 1)
    else:
        pop(L, 1)
    if lua.next(L, 1):
        return 2
    lua.pushnil(L)
    return 1


cdef int pairs(State* L) noexcept:
    lua.checktype(L, 1, TABLE)
    lua.pushvalue(L, UPVALUE_2)
    lua.pushvalue(L, 1)
    lua.pushnil(L)
    return 3


cdef int rawget(State* L) noexcept:
    lua.checktype(L, 1, TABLE)
    lua.checkany(L, 2)
    lua.settop(L, 2)
    if is_view(L, 1):
        lua.replace(L, 1)
    else:
        pop(L, 1)
    lua.rawget(L, 1)
    return 1


cdef int rawset(State* L) noexcept:
    lua.checktype(L, 1, TABLE)
    lua.checkany(L, 2)
    lua.checkany(L, 3)
    lua.settop(L, 3)
    if is_view(L, 1):
        return refuse(L)
    pop(L, 1)
    lua.rawset(L, 1)
    return 1


cdef int setmetatable(State* L) noexcept:
    cdef int kind = lua.type(L, 2)
    lua.checktype(L, 1, TABLE)
    if kind != NIL and kind != TABLE:
        return lua.argerror(L, 2, b"nil or table expected")
    if is_view(L, 1):
        return refuse(L)
    if lua.getmetafield(L, 1, b"__metatable"):
        return raise_text(L, b"cannot change a protected metatable")
    lua.settop(L, 2)
    lua.setmetatable(L, 1)
    return 1


cdef int insert(State* L) noexcept:
    cdef ssize_t end, at
    lua.checktype(L, 1, TABLE)
    if is_view(L, 1):
        return refuse(L)
    pop(L, 1)
    end = lua.objlen(L, 1) + 1
    if lua.gettop(L) == 2:
        at = end
    elif lua.gettop(L) == 3:
        at = <int>lua.checkinteger(L, 2)
        if at > end:
            end = at
        while end > at:
            lua.rawgeti(L, 1, <int>end - 1)
            lua.rawseti(L, 1, <int>end)
            end -= 1
    else:
        return raise_text(L, b"wrong number of arguments to 'insert'")
    lua.rawseti(L, 1, <int>at)
    return 0


cdef int pcall(State* L) noexcept:
    """Lua's pcall, but an error table with a text arrives as that text, as scripts of old expect."""
    cdef int argc = lua.gettop(L)
    if argc == 0:
        return lua.argerror(L, 1, b"value expected")
    lua.pushboolean(L, 1)
    lua.insert(L, 1)
    if lua.pcall(L, argc - 1, MULTRET, 0):
        lua.remove(L, 1)
        if lua.type(L, -1) == TABLE:
            lua.getfield(L, -1, b"err")
            if lua.isstring(L, -1):
                lua.replace(L, -2)
            else:
                pop(L, 1)
        lua.pushboolean(L, 0)
        lua.insert(L, 1)
    return lua.gettop(L)


# ---- loading code ----

cdef int compiled(State* L, const char* p, size_t n, const char* name) noexcept:
    if n and p[0] == 27:
        lua.pushnil(L)
        lua.pushstring(L, b"precompiled code is not allowed")
        return 2
    if lua.loadbuffer(L, p, n, name) == 0:
        return 1
    lua.pushnil(L)
    lua.insert(L, -2)
    return 2


cdef int loadstring(State* L) noexcept:
    cdef size_t n = 0
    cdef const char* p = lua.checklstring(L, 1, &n)
    return compiled(L, p, n, lua.optlstring(L, 2, p, NULL))


cdef int load(State* L) noexcept:
    """Compile the pieces that a function returns."""
    cdef size_t n = 0
    cdef const char* name = lua.optlstring(L, 2, b"=(load)", NULL)
    lua.checktype(L, 1, 6)
    lua.settop(L, 2)
    lua.pushlstring(L, b"", 0)
    while True:
        lua.pushvalue(L, 1)
        lua.call(L, 0, 1)
        if lua.type(L, -1) == NIL:
            break
        if not lua.isstring(L, -1):
            lua.pushnil(L)
            lua.pushstring(L, b"reader function must return a string")
            return 2
        lua.tolstring(L, -1, &n)
        if n == 0:
            break
        lua.concat(L, 2)
    pop(L, 1)
    cdef const char* p = lua.tolstring(L, 3, &n)
    return compiled(L, p, n, name)


# ---- the globals ----

cdef void open_library(State* L, const char* name, Function function) noexcept:
    lua.pushcclosure(L, function, 0)
    lua.pushstring(L, name)
    lua.call(L, 1, 0)


cdef void open_libraries(State* L) noexcept:
    cdef const char** hidden = [
        b"dofile", b"loadfile", b"print", b"newproxy", b"getfenv", b"setfenv", b"require", b"module", NULL]
    cdef int i = 0
    open_library(L, b"", lua.open_base)
    open_library(L, b"table", lua.open_table)
    open_library(L, b"string", lua.open_string)
    open_library(L, b"math", lua.open_math)
    lua.pushvalue(L, GLOBALS)
    open_json(L)
    lua.setfield(L, -2, b"cjson")
    open_struct(L)
    lua.setfield(L, -2, b"struct")
    open_msgpack(L)
    lua.setfield(L, -2, b"cmsgpack")
    open_bits(L)
    lua.setfield(L, -2, b"bit")
    while hidden[i] != NULL:
        lua.pushnil(L)
        lua.setfield(L, -2, hidden[i])
        i += 1
    add(L, b"pcall", pcall)
    add(L, b"loadstring", loadstring)
    add(L, b"load", load)


cdef void replace_function(State* L, int views, const char* name, Function function) noexcept:
    """Put a function that knows the views into the table on top."""
    lua.pushvalue(L, views)
    lua.pushcclosure(L, function, 1)
    lua.setfield(L, -2, name)


cdef void view(State* L, int views, int closed) noexcept:
    """Replace the table on top by a view of it."""
    lua.createtable(L, 0, 0)
    lua.createtable(L, 0, 3)
    lua.pushvalue(L, -3)
    lua.setfield(L, -2, b"__index")
    add(L, b"__newindex", refuse_assignment)
    if closed:
        lua.pushvalue(L, closed)
        lua.setfield(L, -2, b"__metatable")
    lua.setmetatable(L, -2)
    lua.pushvalue(L, -1)                # views[view] = real
    lua.pushvalue(L, -3)
    lua.rawset(L, views)
    lua.remove(L, -2)


cdef void seal(State* L, int index) noexcept:
    cdef const char** libraries = [
        b"string", b"table", b"math", b"coroutine", b"cjson", b"struct", b"cmsgpack", b"bit", b"redis", NULL]
    cdef int base = lua.gettop(L)
    cdef int views = base + 1
    cdef int closed = base + 2
    cdef int i = 0
    lua.createtable(L, 0, 16)           # views
    lua.createtable(L, 0, 0)            # what getmetatable shows of a view
    view(L, views, 0)
    lua.pushvalue(L, index)
    replace_function(L, views, b"next", next_)
    replace_function(L, views, b"rawget", rawget)
    replace_function(L, views, b"rawset", rawset)
    replace_function(L, views, b"setmetatable", setmetatable)
    lua.pushvalue(L, views)
    lua.getfield(L, -2, b"next")
    lua.pushcclosure(L, pairs, 2)
    lua.setfield(L, -2, b"pairs")
    lua.getfield(L, -1, b"table")
    replace_function(L, views, b"insert", insert)
    pop(L, 1)
    lua.pushstring(L, b"")              # the metatable of strings reads the library: show a view of it
    if lua.getmetatable(L, -1):
        lua.pushvalue(L, closed)
        lua.setfield(L, -2, b"__metatable")
        pop(L, 1)
    pop(L, 1)
    while libraries[i] != NULL:
        lua.getfield(L, -1, libraries[i])
        view(L, views, closed)
        lua.setfield(L, -2, libraries[i])
        i += 1
    view(L, views, closed)              # of the globals themselves
    lua.pushvalue(L, -1)
    lua.setfield(L, index, b"_G")
    lua.createtable(L, 0, 1)
    add(L, b"__index", missing_global)
    lua.setmetatable(L, index)
    lua.replace(L, GLOBALS)
    lua.settop(L, base)
