# The C interface of the Lua 5.1 that the lupa wheel carries: a table of its functions.
#
# Names are those of the Lua manual without their prefix
# (https://www.lua.org/manual/5.1/manual.html#3). An error raised inside is a
# longjmp: a function that may raise holds no Python object in a local.

from libc.stdint cimport int64_t

ctypedef void State
ctypedef int (*Function)(State* L) noexcept
ctypedef void (*Hook)(State* L, Activation* ar) noexcept

cdef enum:
    REGISTRY = -10000
    GLOBALS = -10002
    UPVALUE_1 = -10003
    UPVALUE_2 = -10004
    MULTRET = -1
    MASK_LINE = 4
    MASK_COUNT = 8
    GC_COUNT = 3
    GC_STEP = 5

cdef enum Kind:
    NIL = 0
    BOOLEAN = 1
    LIGHTUSERDATA = 2
    NUMBER = 3
    STRING = 4
    TABLE = 5

cdef struct Activation:         # lua_Debug
    int event
    const char* name
    const char* namewhat
    const char* what
    const char* source
    int currentline
    int nups
    int linedefined
    int lastlinedefined
    char short_src[60]
    int i_ci
    char room[64]               # should a build have a longer short_src

cdef struct LuaApi:
    State* (*newstate)() noexcept
    void (*close)(State* L) noexcept
    int (*gettop)(State* L) noexcept
    void (*settop)(State* L, int index) noexcept
    void (*pushvalue)(State* L, int index) noexcept
    void (*remove)(State* L, int index) noexcept
    void (*insert)(State* L, int index) noexcept
    void (*replace)(State* L, int index) noexcept
    int (*checkstack)(State* L, int n) noexcept
    int (*type)(State* L, int index) noexcept
    const char* (*typename_)(State* L, int kind) noexcept
    double (*tonumber)(State* L, int index) noexcept
    int (*toboolean)(State* L, int index) noexcept
    const char* (*tolstring)(State* L, int index, size_t* n) noexcept
    size_t (*objlen)(State* L, int index) noexcept
    void* (*touserdata)(State* L, int index) noexcept
    int (*isnumber)(State* L, int index) noexcept
    int (*isstring)(State* L, int index) noexcept
    void (*pushnil)(State* L) noexcept
    void (*pushnumber)(State* L, double value) noexcept
    void (*pushlstring)(State* L, const char* p, size_t n) noexcept
    void (*pushstring)(State* L, const char* text) noexcept
    void (*pushcclosure)(State* L, Function function, int upvalues) noexcept
    void (*pushboolean)(State* L, int value) noexcept
    void (*pushlightuserdata)(State* L, void* p) noexcept
    void* (*newuserdata)(State* L, size_t n) noexcept
    void (*getfield)(State* L, int index, const char* name) noexcept
    void (*rawget)(State* L, int index) noexcept
    void (*rawgeti)(State* L, int index, int n) noexcept
    void (*createtable)(State* L, int array, int hash) noexcept
    int (*getmetatable)(State* L, int index) noexcept
    void (*setfield)(State* L, int index, const char* name) noexcept
    void (*rawset)(State* L, int index) noexcept
    void (*rawseti)(State* L, int index, int n) noexcept
    int (*setmetatable)(State* L, int index) noexcept
    void (*call)(State* L, int arguments, int results) noexcept
    int (*pcall)(State* L, int arguments, int results, int handler) noexcept
    int (*next)(State* L, int index) noexcept
    void (*concat)(State* L, int n) noexcept
    int (*error)(State* L) noexcept
    int (*gc)(State* L, int what, int value) noexcept
    int (*sethook)(State* L, Hook hook, int mask, int count) noexcept
    int (*getstack)(State* L, int level, Activation* ar) noexcept
    int (*getinfo)(State* L, const char* what, Activation* ar) noexcept
    int (*loadbuffer)(State* L, const char* p, size_t n, const char* name) noexcept
    int (*argerror)(State* L, int argument, const char* text) noexcept
    double (*checknumber)(State* L, int argument) noexcept
    ssize_t (*checkinteger)(State* L, int argument) noexcept
    const char* (*checklstring)(State* L, int argument, size_t* n) noexcept
    const char* (*optlstring)(State* L, int argument, const char* other, size_t* n) noexcept
    void (*checktype)(State* L, int argument, int kind) noexcept
    void (*checkany)(State* L, int argument) noexcept
    int (*getmetafield)(State* L, int index, const char* name) noexcept
    int (*ref)(State* L, int table) noexcept
    void (*unref)(State* L, int table, int ref) noexcept
    void (*where)(State* L, int level) noexcept
    Function open_base, open_table, open_string, open_math

# Filled by load_lua, once a process; constant from then on.
cdef LuaApi lua

# Find the functions; ImportError where the wheel lacks them.
cdef int load_lua() except -1
# Raise an error as luaL_error does, with the caller's position.
cdef int raise_text(State* L, const char* text) noexcept
# Declare functions of a library in the table on top of the stack.
cdef void add(State* L, const char* name, Function function) noexcept
cdef inline void pop(State* L, int n) noexcept:
    lua.settop(L, -n - 1)
