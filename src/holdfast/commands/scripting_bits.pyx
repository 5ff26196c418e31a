"""The `bit` library of scripts: operations on 32-bit integers (https://bitop.luajit.org/api.html)."""

from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memcpy
from holdfast.commands.scripting_lua cimport BOOLEAN, State, add, lua


cdef inline uint32_t bits(State* L, int argument) noexcept:
    """The argument modulo 2^32, rounded to an integer."""
    cdef double value = lua.checknumber(L, argument) + 6755399441055744.0
    cdef uint64_t raw
    memcpy(&raw, &value, 8)
    return <uint32_t>raw


cdef inline int answer(State* L, uint32_t value) noexcept:
    lua.pushnumber(L, <double><int32_t>value)
    return 1


cdef int tobit(State* L) noexcept:
    return answer(L, bits(L, 1))


cdef int bnot(State* L) noexcept:
    return answer(L, ~bits(L, 1))


cdef int band(State* L) noexcept:
    cdef int i
    cdef uint32_t value = bits(L, 1)
    for i in range(2, lua.gettop(L) + 1):
        value &= bits(L, i)
    return answer(L, value)


cdef int bor(State* L) noexcept:
    cdef int i
    cdef uint32_t value = bits(L, 1)
    for i in range(2, lua.gettop(L) + 1):
        value |= bits(L, i)
    return answer(L, value)


cdef int bxor(State* L) noexcept:
    cdef int i
    cdef uint32_t value = bits(L, 1)
    for i in range(2, lua.gettop(L) + 1):
        value ^= bits(L, i)
    return answer(L, value)


cdef int lshift(State* L) noexcept:
    cdef uint32_t value = bits(L, 1)
    return answer(L, value << (bits(L, 2) & 31))


cdef int rshift(State* L) noexcept:
    cdef uint32_t value = bits(L, 1)
    return answer(L, value >> (bits(L, 2) & 31))


cdef int arshift(State* L) noexcept:
    cdef int32_t value = <int32_t>bits(L, 1)
    return answer(L, <uint32_t>(value >> (bits(L, 2) & 31)))


cdef int rol(State* L) noexcept:
    cdef uint32_t value = bits(L, 1)
    cdef uint32_t n = bits(L, 2) & 31
    return answer(L, (value << n) | (value >> ((32 - n) & 31)))


cdef int ror(State* L) noexcept:
    cdef uint32_t value = bits(L, 1)
    cdef uint32_t n = bits(L, 2) & 31
    return answer(L, (value >> n) | (value << ((32 - n) & 31)))


cdef int bswap(State* L) noexcept:
    cdef uint32_t v = bits(L, 1)
    return answer(L, (v >> 24) | ((v >> 8) & 0xff00) | ((v & 0xff00) << 8) | (v << 24))


cdef int tohex(State* L) noexcept:
    cdef uint32_t value = bits(L, 1)
    cdef int digits = 8
    cdef const char* letters = b"0123456789abcdef"
    cdef char text[8]
    cdef int i
    if lua.type(L, 2) > BOOLEAN:
        digits = <int32_t>bits(L, 2)
    if digits < 0:
        letters = b"0123456789ABCDEF"
        digits = 8 if digits < -8 else -digits
    if digits > 8:
        digits = 8
    for i in range(digits - 1, -1, -1):
        text[i] = letters[value & 15]
        value >>= 4
    lua.pushlstring(L, text, digits)
    return 1


cdef void open_bits(State* L) noexcept:
    lua.createtable(L, 0, 12)
    add(L, b"tobit", tobit)
    add(L, b"bnot", bnot)
    add(L, b"band", band)
    add(L, b"bor", bor)
    add(L, b"bxor", bxor)
    add(L, b"lshift", lshift)
    add(L, b"rshift", rshift)
    add(L, b"arshift", arshift)
    add(L, b"rol", rol)
    add(L, b"ror", ror)
    add(L, b"bswap", bswap)
    add(L, b"tohex", tohex)
