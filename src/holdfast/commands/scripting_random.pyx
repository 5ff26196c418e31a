"""math.random and math.randomseed: the same numbers everywhere (drand48's generator).

Lua's own ask the C library, which draws other numbers on another machine.
"""

from libc.math cimport floor
from libc.stdint cimport int32_t, uint64_t
from holdfast.commands.scripting_lua cimport UPVALUE_1, State, lua, pop, raise_text
from holdfast.commands.scripting_world cimport REAL_GLOBALS, World


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


cdef void open_random(World w) noexcept:
    lua.getfield(w.L, REAL_GLOBALS, b"math")
    w.method(b"random", math_random)
    w.method(b"randomseed", math_randomseed)
    pop(w.L, 1)
