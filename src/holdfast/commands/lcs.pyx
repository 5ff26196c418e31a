"""LCS: the longest common subsequence of two strings (https://redis.io/commands/lcs/).

What it is: the table of dynamic programming (Wagner and Fischer, 1974) and the
walk back through it. What it is not: a diff in little memory; the table takes
four bytes for each pair of positions, and is refused above proto-max-bulk-len.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from holdfast.commands.options cimport arg_int, arg_is
from holdfast.engine.buf cimport Slice
from holdfast.engine.keyspace cimport ks_read
from holdfast.engine.record cimport TYPE_STRING, Record, record_string, type_of
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_array, reply_array_at, reply_bulk, reply_error, reply_int, reply_later, reply_map,
    reply_syntax_error,
    reply_text)
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.spec import KeySpec, Spec

cdef struct LcsOptions:
    bint length         # LEN
    bint ranges         # IDX
    bint with_lengths   # WITHMATCHLEN
    int64_t shortest    # MINMATCHLEN


cdef bint parse_options(Session s, Call* c, LcsOptions* o) noexcept:
    cdef int i = 3
    o.length = o.ranges = o.with_lengths = False
    o.shortest = 0
    while i < c.argc:
        if arg_is(c.argv[i], b"idx"):
            o.ranges = True
        elif arg_is(c.argv[i], b"len"):
            o.length = True
        elif arg_is(c.argv[i], b"withmatchlen"):
            o.with_lengths = True
        elif arg_is(c.argv[i], b"minmatchlen") and i + 1 < c.argc:
            i += 1
            if not arg_int(s, c.argv[i], &o.shortest):
                return False
        else:
            reply_syntax_error(s)
            return False
        i += 1
    if o.length and o.ranges:
        reply_error(s, b"ERR If you want both the length and indexes, please just use IDX.")
        return False
    return True


cdef uint32_t* fill_table(Slice a, Slice b) noexcept nogil:
    """Cell (i, j), at i * (len(b) + 1) + j: the length for the first i and j bytes; NULL: no memory."""
    cdef size_t width = b.len + 1
    cdef uint32_t* table = <uint32_t*>calloc((a.len + 1) * width, sizeof(uint32_t))
    cdef uint32_t* row
    cdef uint32_t* above
    cdef size_t i, j
    if table == NULL:
        return NULL
    for i in range(1, a.len + 1):
        row = table + i * width
        above = row - width
        for j in range(1, b.len + 1):
            if a.ptr[i - 1] == b.ptr[j - 1]:
                row[j] = above[j - 1] + 1
            else:
                row[j] = above[j] if above[j] > row[j - 1] else row[j - 1]
    return table


cdef void reply_range(Session s, size_t a, size_t b, size_t n, bint with_length) noexcept:
    reply_array(s, 3 if with_length else 2)
    reply_array(s, 2)
    reply_int(s, a)
    reply_int(s, a + n - 1)
    reply_array(s, 2)
    reply_int(s, b)
    reply_int(s, b + n - 1)
    if with_length:
        reply_int(s, n)


cdef void reply_ranges(Session s, Slice a, Slice b, uint32_t* table, LcsOptions* o) noexcept:
    """The runs of equal bytes, from the last to the first."""
    cdef size_t width = b.len + 1, i = a.len, j = b.len, count = 0, run, at
    reply_map(s, 2)
    reply_text(s, b"matches")
    at = reply_later(s)
    while i and j:
        if a.ptr[i - 1] == b.ptr[j - 1]:
            run = 0
            while i and j and a.ptr[i - 1] == b.ptr[j - 1]:
                i -= 1
                j -= 1
                run += 1
            if <int64_t>run >= o.shortest:
                reply_range(s, i, j, run, o.with_lengths)
                count += 1
        elif table[(i - 1) * width + j] > table[i * width + j - 1]:
            i -= 1
        else:
            j -= 1
    reply_array_at(s, at, count)
    reply_text(s, b"len")
    reply_int(s, table[a.len * width + b.len])


cdef void reply_sequence(Session s, Slice a, Slice b, uint32_t* table) noexcept:
    cdef size_t width = b.len + 1, i = a.len, j = b.len
    cdef size_t n = table[i * width + j], left = n
    cdef char* found = <char*>malloc(n + 1)
    if found == NULL:
        reply_error(s, b"ERR Insufficient memory, failed allocating transient memory for LCS")
        return
    while i and j:
        if a.ptr[i - 1] == b.ptr[j - 1]:
            i -= 1
            j -= 1
            left -= 1
            found[left] = a.ptr[i]
        elif table[(i - 1) * width + j] > table[i * width + j - 1]:
            i -= 1
        else:
            j -= 1
    reply_bulk(s, found, n)
    free(found)


cdef Slice text_of(Record* r, char* scratch) noexcept nogil:
    cdef Slice none
    if r != NULL:
        return record_string(r, scratch)
    none.ptr = scratch
    none.len = 0
    return none


cdef int lcs(Session s, Call* c) except -1:
    cdef char first[24]
    cdef char second[24]
    cdef Slice a, b
    cdef LcsOptions o
    cdef uint32_t* table
    # The second look-up moves no record: the first pointer stays good.
    cdef Record* ra = ks_read(&s.engine.ks, s.db, c.argv[1])
    cdef Record* rb = ks_read(&s.engine.ks, s.db, c.argv[2])
    if (ra != NULL and type_of(ra) != TYPE_STRING) or (rb != NULL and type_of(rb) != TYPE_STRING):
        reply_error(s, b"ERR The specified keys must contain string values")
        return 0
    if not parse_options(s, c, &o):
        return 0
    a = text_of(ra, first)
    b = text_of(rb, second)
    if a.len >= 4294967294u or b.len >= 4294967294u:
        reply_error(s, b"ERR String too long for LCS")
        return 0
    if (<uint64_t>a.len + 1) > (<uint64_t>s.engine.proto_max_bulk_len >> 2) // (b.len + 1):
        reply_error(s, b"ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
        return 0
    table = fill_table(a, b)
    if table == NULL:
        reply_error(s, b"ERR Insufficient memory, failed allocating transient memory for LCS")
    elif o.ranges:
        reply_ranges(s, a, b, table, &o)
    elif o.length:
        reply_int(s, table[(a.len + 1) * (b.len + 1) - 1])
    else:
        reply_sequence(s, a, b, table)
    free(table)
    return 0


cpdef int register(Engine e) except -1:
    """The index of the family."""
    command(e, lcs, Spec(
        "lcs", -3, "readonly", (1, 2, 1), "string", "7.0.0",
        "Find the longest common subsequence of two strings.",
        "O(N*M), N and M being the lengths of the strings", key_specs=(KeySpec("RO access", last=1),)))
    return 0
