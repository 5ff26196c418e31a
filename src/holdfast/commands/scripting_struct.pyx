"""The `struct` library of scripts: bytes packed by a format (http://www.inf.puc-rio.br/~roberto/struct/)."""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr, memcpy, memset
from holdfast.commands.scripting_lua cimport State, add, lua, raise_text

cdef enum:
    WIDEST = 32                 # bytes of an integer
    MOST_ALIGN = 8

cdef struct Format:
    const char* at
    bint little
    int align


cdef int digits(Format* f, int other) noexcept:
    """The number that follows an option, or `other`; -1: too large."""
    cdef int64_t v = 0
    if not c'0' <= f.at[0] <= c'9':
        return other
    while c'0' <= f.at[0] <= c'9':
        v = v * 10 + (f.at[0] - c'0')
        if v > 0x7fffffff:
            return -1
        f.at += 1
    return <int>v


cdef int size_of(State* L, char option, Format* f) noexcept:
    """Bytes that an option takes; of `s` and `c0` they are known only with the value."""
    cdef int n
    if option == c'B' or option == c'b' or option == c'x':
        return 1
    if option == c'H' or option == c'h':
        return 2
    if option == c'L' or option == c'l' or option == c'T' or option == c'd':
        return 8
    if option == c'f':
        return 4
    if option == c'i' or option == c'I':
        n = digits(f, 4)
        if n > WIDEST or n < 1:
            raise_text(L, b"integral size is larger than limit of 32")
        return n
    if option == c'c':
        n = digits(f, 1)
        if n < 0:
            raise_text(L, b"integral size overflow")
        return n
    return 0


cdef bint control(State* L, char option, Format* f) noexcept:
    """Whether an option only changes how the next ones are read."""
    cdef int n
    if option == c' ':
        return True
    if option == c'>':
        f.little = False
    elif option == c'<':
        f.little = True
    elif option == c'!':
        n = digits(f, MOST_ALIGN)
        if n <= 0 or n & (n - 1):
            raise_text(L, b"alignment is not a power of 2")
        f.align = n
    else:
        return False
    return True


cdef int padding(State* L, char option, Format* f, size_t size, size_t total) noexcept:
    cdef size_t align = size
    if align > <size_t>f.align:
        align = f.align
    if align < 2 or option == c'c' or option == c's' or option == c'x':
        return 0
    if align & (align - 1):
        raise_text(L, b"alignment is not a power of 2")
    return <int>((align - (total & (align - 1))) & (align - 1))


cdef void begin(Format* f, const char* text) noexcept:
    f.at = text
    f.little = True
    f.align = 1


cdef void push_number(State* L, Format* f, const char* raw, int size) noexcept:
    """Push bytes in the machine's order in the order of the format."""
    cdef char turned[WIDEST]
    cdef int i
    for i in range(size):
        turned[i] = raw[i] if f.little else raw[size - 1 - i]
    lua.pushlstring(L, turned, size)


cdef int pack(State* L) noexcept:
    cdef Format f
    cdef size_t n = 0, total = 0
    cdef int argument = 2, size, pad
    cdef char option
    cdef const char* p
    cdef double value
    cdef float single
    cdef uint64_t number
    cdef char raw[WIDEST]
    cdef int last = lua.gettop(L)
    begin(&f, lua.checklstring(L, 1, NULL))
    lua.pushlstring(L, b"", 0)          # what is packed so far stays on top
    while f.at[0]:
        option = f.at[0]
        f.at += 1
        if control(L, option, &f):
            continue
        size = size_of(L, option, &f)
        pad = padding(L, option, &f, size, total)
        memset(raw, 0, sizeof(raw))
        if pad:
            lua.pushlstring(L, raw, pad)
            lua.concat(L, 2)
            total += pad
        if argument > last and option != c'x' and size + (option == c's') + (option == c'c'):
            return lua.argerror(L, argument, b"value expected, got no value")
        if option == c'x':
            lua.pushlstring(L, raw, 1)
        elif option == c's' or option == c'c':
            p = lua.checklstring(L, argument, &n)
            argument += 1
            if option == c's':
                lua.pushlstring(L, p, n)
                lua.pushlstring(L, raw, 1)
                lua.concat(L, 2)
                size = <int>n + 1
            else:
                if size == 0:
                    size = <int>n
                if n < <size_t>size:
                    return lua.argerror(L, argument - 1, b"string too short")
                lua.pushlstring(L, p, size)
        elif option == c'f':
            single = <float>lua.checknumber(L, argument)
            argument += 1
            memcpy(raw, &single, 4)
            push_number(L, &f, raw, 4)
        elif option == c'd':
            value = lua.checknumber(L, argument)
            argument += 1
            memcpy(raw, &value, 8)
            push_number(L, &f, raw, 8)
        elif size:
            value = lua.checknumber(L, argument)
            argument += 1
            number = <uint64_t><int64_t>value if value < 0 else <uint64_t>value
            if value < 0:
                memset(raw, -1, sizeof(raw))
            memcpy(raw, &number, 8)
            push_number(L, &f, raw, size)
        else:
            return unknown(L, option)
        lua.concat(L, 2)
        total += size
    return 1


cdef int unknown(State* L, char option) noexcept:
    cdef char text[32]
    memcpy(text, b"invalid format option '?'", 26)
    text[23] = option
    return raise_text(L, text)


cdef int64_t read_integer(Format* f, const char* p, int size, bint is_signed, double* out) noexcept:
    cdef uint64_t v = 0
    cdef int i, shift
    for i in range(size - 1, -1, -1):
        v = (v << 8) | <unsigned char>(p[i] if f.little else p[size - 1 - i])
    if not is_signed:
        out[0] = <double>v
    else:
        shift = 64 - 8 * size if size < 8 else 0
        out[0] = <double>(<int64_t>(v << shift) >> shift)
    return 0


cdef int unpack(State* L) noexcept:
    cdef Format f
    cdef size_t n = 0, at
    cdef int size, count = 0, i
    cdef char option
    cdef char raw[8]
    cdef const char* p
    cdef const char* end
    cdef double value
    cdef float single
    cdef ssize_t first = 1
    begin(&f, lua.checklstring(L, 1, NULL))
    p = lua.checklstring(L, 2, &n)
    if lua.type(L, 3) > 0:
        first = lua.checkinteger(L, 3)
        if first <= 0:
            return lua.argerror(L, 3, b"offset must be 1 or greater")
    at = first - 1
    lua.settop(L, 2)
    while f.at[0]:
        option = f.at[0]
        f.at += 1
        if control(L, option, &f):
            continue
        size = size_of(L, option, &f)
        at += padding(L, option, &f, size, at)
        if at > n or <size_t>size > n - at:
            return lua.argerror(L, 2, b"data string too short")
        if not lua.checkstack(L, 4):
            return raise_text(L, b"stack overflow (too many results)")
        if option == c'x':
            pass
        elif option == c'c':
            if size == 0:
                if count == 0 or not lua.isnumber(L, -1):
                    return raise_text(L, b"format 'c0' needs a previous size")
                value = lua.tonumber(L, -1)
                lua.settop(L, -2)
                count -= 1
                if value < 0 or value > <double>(n - at):
                    return lua.argerror(L, 2, b"data string too short")
                size = <int>value
            lua.pushlstring(L, p + at, size)
            count += 1
        elif option == c's':
            end = <const char*>memchr(p + at, 0, n - at)
            if end == NULL:
                return raise_text(L, b"unfinished string in data")
            size = <int>(end - (p + at)) + 1
            lua.pushlstring(L, p + at, size - 1)
            count += 1
        elif option == c'f' or option == c'd':
            for i in range(size):
                raw[i] = p[at + i] if f.little else p[at + size - 1 - i]
            if option == c'f':
                memcpy(&single, raw, 4)
                value = single
            else:
                memcpy(&value, raw, 8)
            lua.pushnumber(L, value)
            count += 1
        elif size:
            read_integer(&f, p + at, size, c'a' <= option <= c'z', &value)
            lua.pushnumber(L, value)
            count += 1
        else:
            return unknown(L, option)
        at += size
    lua.pushnumber(L, <double>(at + 1))
    return count + 1


cdef int size(State* L) noexcept:
    cdef Format f
    cdef size_t total = 0
    cdef int n
    cdef char option
    begin(&f, lua.checklstring(L, 1, NULL))
    while f.at[0]:
        option = f.at[0]
        f.at += 1
        if control(L, option, &f):
            continue
        n = size_of(L, option, &f)
        total += padding(L, option, &f, n, total)
        if option == c's':
            return lua.argerror(L, 1, b"option 's' has no fixed size")
        if option == c'c' and n == 0:
            return lua.argerror(L, 1, b"option 'c0' has no fixed size")
        if n == 0:
            return unknown(L, option)
        total += n
    lua.pushnumber(L, <double>total)
    return 1


cdef void open_struct(State* L) noexcept:
    lua.createtable(L, 0, 3)
    add(L, b"pack", pack)
    add(L, b"unpack", unpack)
    add(L, b"size", size)
