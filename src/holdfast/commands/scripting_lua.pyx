"""The C interface of the Lua 5.1 that the lupa wheel carries.

What it is: the addresses of Lua's own functions, looked up in lupa's extension
module, which exports them. A call from a script thus costs what it costs in C;
lupa's Python interface would convert every value twice. What it is not:
anything about commands or sandboxes.
"""

cdef extern from "dlfcn.h":
    void* dlopen(const char* path, int flags)
    void* dlsym(void* handle, const char* name)
    int RTLD_NOW


_NAMES = (
    b"luaL_newstate", b"lua_close", b"lua_gettop", b"lua_settop", b"lua_pushvalue", b"lua_remove",
    b"lua_insert",
    b"lua_replace", b"lua_checkstack", b"lua_type", b"lua_typename", b"lua_tonumber", b"lua_toboolean",
    b"lua_tolstring", b"lua_objlen", b"lua_touserdata", b"lua_isnumber", b"lua_isstring", b"lua_pushnil",
    b"lua_pushnumber", b"lua_pushlstring", b"lua_pushstring", b"lua_pushcclosure", b"lua_pushboolean",
    b"lua_pushlightuserdata", b"lua_newuserdata", b"lua_getfield", b"lua_rawget", b"lua_rawgeti",
    b"lua_createtable",
    b"lua_getmetatable", b"lua_setfield", b"lua_rawset", b"lua_rawseti", b"lua_setmetatable", b"lua_call",
    b"lua_pcall", b"lua_next", b"lua_concat", b"lua_error", b"lua_gc", b"lua_sethook", b"lua_getstack",
    b"lua_getinfo", b"luaL_loadbuffer", b"luaL_argerror", b"luaL_checknumber", b"luaL_checkinteger",
    b"luaL_checklstring", b"luaL_optlstring", b"luaL_checktype", b"luaL_checkany", b"luaL_getmetafield",
    b"luaL_ref",
    b"luaL_unref", b"luaL_where", b"luaopen_base", b"luaopen_table", b"luaopen_string", b"luaopen_math",
)
"""In the order of the members of `LuaApi`."""


cdef int load_lua() except -1:
    cdef void* library
    cdef void* found
    cdef void** places = <void**>&lua
    cdef int i
    if lua.newstate != NULL:
        return 0
    import lupa.lua51

    library = dlopen(lupa.lua51.__file__.encode(), RTLD_NOW)
    if library == NULL or len(_NAMES) * sizeof(void*) != sizeof(LuaApi):
        raise ImportError("the Lua library of lupa cannot be opened")
    for i in range(len(_NAMES) - 1, -1, -1):
        found = dlsym(library, <bytes>_NAMES[i])
        if found == NULL:
            raise ImportError(f"the Lua library of lupa lacks {_NAMES[i].decode()}")
        places[i] = found
    return 0


cdef int raise_text(State* L, const char* text) noexcept:
    lua.where(L, 1)
    lua.pushstring(L, text)
    lua.concat(L, 2)
    return lua.error(L)


cdef void add(State* L, const char* name, Function function) noexcept:
    lua.pushcclosure(L, function, 0)
    lua.setfield(L, -2, name)
