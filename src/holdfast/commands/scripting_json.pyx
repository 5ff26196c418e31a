"""The `cjson` library of scripts (https://www.kyne.com.au/~mark/software/lua-cjson-manual.html).

What it is: JSON to Lua values and back with the settings, limits and error
texts that scripts know. What it is not: strict JSON: numbers in hexadecimal,
`inf` and `nan` are read as the original reads them.

Each instance (`cjson`, `cjson.new()`) has its settings and its buffer in one
userdata, the upvalue of its functions. The buffer is released when the state
of Lua is closed with `__gc`.
"""

from libc.math cimport isinf, isnan
from libc.stdio cimport snprintf
from libc.stdlib cimport strtod
from libc.string cimport memset, strncmp
from holdfast.commands.scripting_lua cimport (
    BOOLEAN, LIGHTUSERDATA, NIL, NUMBER, STRING, TABLE, UPVALUE_1, Function, State, lua, pop, raise_text)
from holdfast.engine.buf cimport Buf, buf_append, buf_free, buf_reserve

cdef extern from "strings.h":
    int strncasecmp(const char* a, const char* b, size_t n) noexcept nogil

cdef struct Settings:
    Buf text
    int sparse_convert, sparse_ratio, sparse_safe
    int encode_depth, decode_depth
    int encode_invalid, decode_invalid      # 2: as null
    int precision, keep_buffer

cdef enum Token:
    OBJECT_BEGIN
    OBJECT_END
    ARRAY_BEGIN
    ARRAY_END
    TEXT
    NUMERIC
    TRUTH
    NULL_
    COLON
    COMMA
    END
    WRONG

cdef struct Parser:
    State* L
    Settings* settings
    const char* start
    const char* at
    int depth
    # the token read last
    Token token
    size_t token_at
    const char* wrong           # why a token is WRONG
    double number
    bint truth


cdef const char* token_name(Token token) noexcept:
    cdef const char** names = [
        b"T_OBJ_BEGIN", b"T_OBJ_END", b"T_ARR_BEGIN", b"T_ARR_END", b"T_STRING", b"T_NUMBER", b"T_BOOLEAN",
        b"T_NULL",
        b"T_COLON", b"T_COMMA", b"T_END"]
    return names[<int>token]


cdef inline Settings* settings_of(State* L) noexcept:
    return <Settings*>lua.touserdata(L, UPVALUE_1)


# ---- encoding ----

cdef int cannot(State* L, int index, const char* why) noexcept:
    lua.where(L, 1)
    lua.pushstring(L, b"Cannot serialise ")
    lua.pushstring(L, lua.typename_(L, lua.type(L, index if index > 0 else index - 2)))
    lua.pushstring(L, b": ")
    lua.pushstring(L, why)
    lua.concat(L, 5)
    return lua.error(L)


cdef void append_text(State* L, Settings* c, int index) noexcept:
    cdef size_t n = 0, i
    cdef const char* p = lua.tolstring(L, index, &n)
    cdef unsigned char ch
    cdef char* q
    cdef char code[8]
    buf_reserve(&c.text, n * 6 + 2)
    q = c.text.ptr + c.text.len
    q[0] = c'"'
    q += 1
    for i in range(n):
        ch = <unsigned char>p[i]
        if ch == c'"' or ch == c'\\' or ch == c'/':
            q[0] = c'\\'
            q[1] = ch
            q += 2
        elif ch >= 32 and ch != 127:
            q[0] = ch
            q += 1
        else:
            q[0] = c'\\'
            q += 1
            if ch == 8:
                q[0] = c'b'
            elif ch == 9:
                q[0] = c't'
            elif ch == 10:
                q[0] = c'n'
            elif ch == 12:
                q[0] = c'f'
            elif ch == 13:
                q[0] = c'r'
            else:
                snprintf(code, 8, b"u%04x", <int>ch)
                q[0] = code[0]
                q[1] = code[1]
                q[2] = code[2]
                q[3] = code[3]
                q[4] = code[4]
                q += 4
            q += 1
    q[0] = c'"'
    c.text.len = q + 1 - c.text.ptr


cdef void append_number(State* L, Settings* c, int index) noexcept:
    cdef double value = lua.tonumber(L, index)
    cdef char digits[64]
    if isnan(value) or isinf(value):
        if c.encode_invalid == 0:
            cannot(L, index, b"must not be NaN or Inf")
        elif c.encode_invalid == 2:
            buf_append(&c.text, b"null", 4)
            return
    buf_append(&c.text, digits, snprintf(digits, 64, b"%.*g", c.precision, value))


cdef int array_length(State* L, Settings* c) noexcept:
    """The length of the table on top as an array, or -1: it is an object."""
    cdef double key
    cdef int longest = 0, items = 0
    lua.pushnil(L)
    while lua.next(L, -2):
        key = lua.tonumber(L, -2) if lua.type(L, -2) == NUMBER else 0
        if key >= 1 and key <= 2147483647 and key == <int>key:
            if key > longest:
                longest = <int>key
            items += 1
            pop(L, 1)
            continue
        pop(L, 2)
        return -1
    if c.sparse_ratio > 0 and longest > <double>items * c.sparse_ratio and longest > c.sparse_safe:
        if not c.sparse_convert:
            cannot(L, -1, b"excessively sparse array")
        return -1
    return longest


cdef void too_deep(State* L, const char* text, int depth, ssize_t at) noexcept:
    cdef char number[32]
    lua.where(L, 1)
    lua.pushstring(L, text)
    snprintf(number, 32, b"%d", depth)
    lua.pushstring(L, number)
    if at >= 0:
        lua.pushstring(L, b") at character ")
        snprintf(number, 32, b"%d", <int>at)
        lua.pushstring(L, number)
        lua.concat(L, 5)
    else:
        lua.pushstring(L, b")")
        lua.concat(L, 4)
    lua.error(L)


cdef void append_table(State* L, Settings* c, int depth) noexcept:
    cdef int i, length, kind
    cdef bint first = True
    if depth > c.encode_depth or not lua.checkstack(L, 10):
        too_deep(L, b"Cannot serialise, excessive nesting (", depth, -1)
    length = array_length(L, c)
    if length > 0:
        buf_append(&c.text, b"[", 1)
        for i in range(1, length + 1):
            if i > 1:
                buf_append(&c.text, b",", 1)
            lua.rawgeti(L, -1, i)
            append_value(L, c, depth)
            pop(L, 1)
        buf_append(&c.text, b"]", 1)
        return
    buf_append(&c.text, b"{", 1)
    lua.pushnil(L)
    while lua.next(L, -2):
        if not first:
            buf_append(&c.text, b",", 1)
        first = False
        kind = lua.type(L, -2)
        if kind == NUMBER:
            buf_append(&c.text, b'"', 1)
            append_number(L, c, -2)
            buf_append(&c.text, b'":', 2)
        elif kind == STRING:
            append_text(L, c, -2)
            buf_append(&c.text, b":", 1)
        else:
            cannot(L, -2, b"table key must be a number or string")
        append_value(L, c, depth)
        pop(L, 1)
    buf_append(&c.text, b"}", 1)


cdef void append_value(State* L, Settings* c, int depth) noexcept:
    cdef int kind = lua.type(L, -1)
    if kind == STRING:
        append_text(L, c, -1)
    elif kind == NUMBER:
        append_number(L, c, -1)
    elif kind == BOOLEAN:
        if lua.toboolean(L, -1):
            buf_append(&c.text, b"true", 4)
        else:
            buf_append(&c.text, b"false", 5)
    elif kind == TABLE:
        append_table(L, c, depth + 1)
    elif kind == NIL or (kind == LIGHTUSERDATA and lua.touserdata(L, -1) == NULL):
        buf_append(&c.text, b"null", 4)
    else:
        cannot(L, -1, b"type not supported")


cdef int encode(State* L) noexcept:
    cdef Settings* c = settings_of(L)
    if lua.gettop(L) != 1:
        return lua.argerror(L, 1, b"expected 1 argument")
    c.text.len = 0
    append_value(L, c, 0)
    lua.pushlstring(L, c.text.ptr, c.text.len)
    if not c.keep_buffer or c.text.cap > 1 << 20:
        buf_free(&c.text)
    return 1


# ---- decoding ----

cdef void wrong_token(Parser* p, const char* why) noexcept:
    p.token = WRONG
    p.wrong = why
    p.token_at = p.at - p.start


cdef int hex4(const char* p) noexcept:
    cdef int i, v = 0
    cdef char ch
    for i in range(4):
        ch = p[i]
        if c'0' <= ch <= c'9':
            v = v * 16 + ch - c'0'
        elif c'a' <= (ch | 32) <= c'f':
            v = v * 16 + (ch | 32) - c'a' + 10
        else:
            return -1
    return v


cdef bint read_unicode(Parser* p) noexcept:
    """Append the character of an escape as UTF-8; a surrogate pair is one character."""
    cdef int code = hex4(p.at + 2)
    cdef int low
    cdef int used = 6
    cdef char out[4]
    cdef int n
    if code < 0:
        return False
    if code & 0xF800 == 0xD800:
        if code & 0x400 or p.at[6] != c'\\' or p.at[7] != c'u':
            return False
        low = hex4(p.at + 8)
        if low < 0 or low & 0xFC00 != 0xDC00:
            return False
        code = 0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF)
        used = 12
    if code < 0x80:
        out[0] = <char>code
        n = 1
    elif code < 0x800:
        out[0] = <char>(0xC0 | (code >> 6))
        out[1] = <char>(0x80 | (code & 0x3F))
        n = 2
    elif code < 0x10000:
        out[0] = <char>(0xE0 | (code >> 12))
        out[1] = <char>(0x80 | ((code >> 6) & 0x3F))
        out[2] = <char>(0x80 | (code & 0x3F))
        n = 3
    else:
        out[0] = <char>(0xF0 | (code >> 18))
        out[1] = <char>(0x80 | ((code >> 12) & 0x3F))
        out[2] = <char>(0x80 | ((code >> 6) & 0x3F))
        out[3] = <char>(0x80 | (code & 0x3F))
        n = 4
    buf_append(&p.settings.text, out, n)
    p.at += used
    return True


cdef void read_text(Parser* p) noexcept:
    """A string: its bytes are left in the buffer."""
    cdef Buf* out = &p.settings.text
    cdef const char* run
    cdef char ch
    out.len = 0
    p.at += 1
    while True:
        run = p.at
        while p.at[0] != c'"' and p.at[0] != c'\\' and p.at[0] != 0:
            p.at += 1
        buf_append(out, run, p.at - run)
        if p.at[0] == c'"':
            p.at += 1
            p.token = TEXT
            return
        if p.at[0] == 0:
            wrong_token(p, b"unexpected end of string")
            return
        ch = p.at[1]
        if ch == c'u':
            if not read_unicode(p):
                wrong_token(p, b"invalid unicode escape code")
                return
            continue
        if ch == c'b':
            ch = 8
        elif ch == c't':
            ch = 9
        elif ch == c'n':
            ch = 10
        elif ch == c'f':
            ch = 12
        elif ch == c'r':
            ch = 13
        elif ch != c'"' and ch != c'\\' and ch != c'/':
            wrong_token(p, b"invalid escape code")
            return
        buf_append(out, &ch, 1)
        p.at += 2


cdef bint is_invalid_number(const char* p) noexcept:
    """Whether it is a number that strict JSON does not know."""
    if p[0] == c'+':
        return True
    if p[0] == c'-':
        p += 1
    if p[0] == c'0':
        return (p[1] | 32) == c'x' or c'0' <= p[1] <= c'9'
    if c'0' <= p[0] <= c'9':
        return False
    return strncasecmp(p, b"inf", 3) == 0 or strncasecmp(p, b"nan", 3) == 0


cdef void read_number(Parser* p) noexcept:
    cdef char* end
    p.number = strtod(p.at, &end)
    if end == p.at:
        wrong_token(p, b"invalid number")
        return
    p.token = NUMERIC
    p.at = end


cdef void single(Parser* p, Token token) noexcept:
    p.token = token
    p.at += 1


cdef void next_token(Parser* p) noexcept:
    cdef char ch
    while p.at[0] == c' ' or p.at[0] == c'\t' or p.at[0] == c'\n' or p.at[0] == c'\r':
        p.at += 1
    ch = p.at[0]
    p.token_at = p.at - p.start
    if ch == c'{':
        single(p, OBJECT_BEGIN)
    elif ch == c'}':
        single(p, OBJECT_END)
    elif ch == c'[':
        single(p, ARRAY_BEGIN)
    elif ch == c']':
        single(p, ARRAY_END)
    elif ch == c',':
        single(p, COMMA)
    elif ch == c':':
        single(p, COLON)
    elif ch == 0:
        p.token = END
    elif ch == c'"':
        read_text(p)
    elif ch == c'-' or c'0' <= ch <= c'9':
        if not p.settings.decode_invalid and is_invalid_number(p.at):
            wrong_token(p, b"invalid number")
        else:
            read_number(p)
    elif strncmp(p.at, b"true", 4) == 0:
        p.token = TRUTH
        p.truth = True
        p.at += 4
    elif strncmp(p.at, b"false", 5) == 0:
        p.token = TRUTH
        p.truth = False
        p.at += 5
    elif strncmp(p.at, b"null", 4) == 0:
        p.token = NULL_
        p.at += 4
    elif (ch == c'+' or (ch | 32) == c'i' or (ch | 32) == c'n') and p.settings.decode_invalid \
            and is_invalid_number(p.at):
        read_number(p)
    else:
        wrong_token(p, b"invalid token")


cdef void expected(Parser* p, const char* what) noexcept:
    cdef char number[32]
    cdef State* L = p.L
    lua.where(L, 1)
    lua.pushstring(L, b"Expected ")
    lua.pushstring(L, what)
    lua.pushstring(L, b" but found ")
    lua.pushstring(L, p.wrong if p.token == WRONG else token_name(p.token))
    lua.pushstring(L, b" at character ")
    snprintf(number, 32, b"%d", <int>(p.token_at + 1))
    lua.pushstring(L, number)
    lua.concat(L, 7)
    lua.error(L)


cdef void descend(Parser* p) noexcept:
    p.depth += 1
    if p.depth > p.settings.decode_depth or not lua.checkstack(p.L, 12):
        too_deep(p.L, b"Found too many nested data structures (", p.depth, p.at - p.start)


cdef void push_object(Parser* p) noexcept:
    descend(p)
    lua.createtable(p.L, 0, 0)
    next_token(p)
    if p.token == OBJECT_END:
        p.depth -= 1
        return
    while True:
        if p.token != TEXT:
            expected(p, b"object key string")
        lua.pushlstring(p.L, p.settings.text.ptr, p.settings.text.len)
        next_token(p)
        if p.token != COLON:
            expected(p, b"colon")
        next_token(p)
        push_value(p)
        lua.rawset(p.L, -3)
        next_token(p)
        if p.token == OBJECT_END:
            p.depth -= 1
            return
        if p.token != COMMA:
            expected(p, b"comma or object end")
        next_token(p)


cdef void push_list(Parser* p) noexcept:
    cdef int i = 1
    descend(p)
    lua.createtable(p.L, 0, 0)
    next_token(p)
    if p.token == ARRAY_END:
        p.depth -= 1
        return
    while True:
        push_value(p)
        lua.rawseti(p.L, -2, i)
        i += 1
        next_token(p)
        if p.token == ARRAY_END:
            p.depth -= 1
            return
        if p.token != COMMA:
            expected(p, b"comma or array end")
        next_token(p)


cdef void push_value(Parser* p) noexcept:
    if p.token == TEXT:
        lua.pushlstring(p.L, p.settings.text.ptr, p.settings.text.len)
    elif p.token == NUMERIC:
        lua.pushnumber(p.L, p.number)
    elif p.token == TRUTH:
        lua.pushboolean(p.L, p.truth)
    elif p.token == OBJECT_BEGIN:
        push_object(p)
    elif p.token == ARRAY_BEGIN:
        push_list(p)
    elif p.token == NULL_:
        lua.pushlightuserdata(p.L, NULL)
    else:
        expected(p, b"value")


cdef int decode(State* L) noexcept:
    cdef Parser p
    cdef size_t n = 0
    if lua.gettop(L) != 1:
        return lua.argerror(L, 1, b"expected 1 argument")
    p.L = L
    p.settings = settings_of(L)
    p.start = lua.checklstring(L, 1, &n)
    p.at = p.start
    p.depth = 0
    buf_reserve(&p.settings.text, 64)
    if n >= 2 and (p.start[0] == 0 or p.start[1] == 0):
        return raise_text(L, b"JSON parser does not support UTF-16 or UTF-32")
    next_token(&p)
    push_value(&p)
    next_token(&p)
    if p.token != END:
        expected(&p, b"the end")
    return 1


# ---- settings ----

cdef int integer_setting(State* L, int argument, int* setting, int least, int most) noexcept:
    """Set from an argument that is there; push the value in force."""
    cdef ssize_t value
    cdef char text[80]
    if lua.type(L, argument) > NIL:
        value = lua.checkinteger(L, argument)
        if value < least or value > most:
            snprintf(text, 80, b"expected integer between %d and %d", least, most)
            return lua.argerror(L, argument, text)
        setting[0] = <int>value
    lua.pushnumber(L, setting[0])
    return 1


cdef int choice_setting(State* L, int argument, int* setting, bint with_null) noexcept:
    cdef const char* text
    if lua.type(L, argument) == BOOLEAN:
        setting[0] = lua.toboolean(L, argument)
    elif lua.type(L, argument) > NIL:
        text = lua.checklstring(L, argument, NULL)
        if strncmp(text, b"on", 3) == 0:
            setting[0] = 1
        elif strncmp(text, b"off", 4) == 0:
            setting[0] = 0
        elif with_null and strncmp(text, b"null", 5) == 0:
            setting[0] = 2
        else:
            return lua.argerror(L, argument, b"invalid option")
    if setting[0] == 2:
        lua.pushstring(L, b"null")
    else:
        lua.pushboolean(L, setting[0])
    return 1


cdef int at_most(State* L, int arguments) noexcept:
    if lua.gettop(L) > arguments:
        return lua.argerror(L, arguments + 1, b"found too many arguments")
    while lua.gettop(L) < arguments:
        lua.pushnil(L)
    return 0


cdef int encode_sparse_array(State* L) noexcept:
    cdef Settings* c = settings_of(L)
    at_most(L, 3)
    choice_setting(L, 1, &c.sparse_convert, False)
    integer_setting(L, 2, &c.sparse_ratio, 0, 2147483647)
    integer_setting(L, 3, &c.sparse_safe, 0, 2147483647)
    return 3


cdef int encode_max_depth(State* L) noexcept:
    at_most(L, 1)
    return integer_setting(L, 1, &settings_of(L).encode_depth, 1, 2147483647)


cdef int decode_max_depth(State* L) noexcept:
    at_most(L, 1)
    return integer_setting(L, 1, &settings_of(L).decode_depth, 1, 2147483647)


cdef int encode_number_precision(State* L) noexcept:
    at_most(L, 1)
    return integer_setting(L, 1, &settings_of(L).precision, 1, 14)


cdef int encode_keep_buffer(State* L) noexcept:
    at_most(L, 1)
    return choice_setting(L, 1, &settings_of(L).keep_buffer, False)


cdef int encode_invalid_numbers(State* L) noexcept:
    at_most(L, 1)
    return choice_setting(L, 1, &settings_of(L).encode_invalid, True)


cdef int decode_invalid_numbers(State* L) noexcept:
    at_most(L, 1)
    return choice_setting(L, 1, &settings_of(L).decode_invalid, False)


cdef int release(State* L) noexcept:
    buf_free(&(<Settings*>lua.touserdata(L, 1)).text)
    return 0


cdef void method(State* L, const char* name, Function function) noexcept:
    """Declare a function whose upvalue is the settings, which lie under the table on top."""
    lua.pushvalue(L, -2)
    lua.pushcclosure(L, function, 1)
    lua.setfield(L, -2, name)


cdef int new(State* L) noexcept:
    open_json(L)
    return 1


cdef void open_json(State* L) noexcept:
    cdef Settings* c = <Settings*>lua.newuserdata(L, sizeof(Settings))
    memset(c, 0, sizeof(Settings))
    c.sparse_ratio = 2
    c.sparse_safe = 10
    c.encode_depth = 1000
    c.decode_depth = 1000
    c.decode_invalid = 1
    c.precision = 14
    c.keep_buffer = 1
    lua.createtable(L, 0, 1)
    lua.pushcclosure(L, release, 0)
    lua.setfield(L, -2, b"__gc")
    lua.setmetatable(L, -2)
    lua.createtable(L, 0, 13)
    method(L, b"encode", encode)
    method(L, b"decode", decode)
    method(L, b"encode_sparse_array", encode_sparse_array)
    method(L, b"encode_max_depth", encode_max_depth)
    method(L, b"decode_max_depth", decode_max_depth)
    method(L, b"encode_number_precision", encode_number_precision)
    method(L, b"encode_keep_buffer", encode_keep_buffer)
    method(L, b"encode_invalid_numbers", encode_invalid_numbers)
    method(L, b"decode_invalid_numbers", decode_invalid_numbers)
    method(L, b"new", new)
    lua.pushlightuserdata(L, NULL)
    lua.setfield(L, -2, b"null")
    lua.pushstring(L, b"cjson")
    lua.setfield(L, -2, b"_NAME")
    lua.pushstring(L, b"2.1.0")
    lua.setfield(L, -2, b"_VERSION")
    lua.remove(L, -2)
