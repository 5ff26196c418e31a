"""Digests of the data: equal data, equal digest, whatever the encoding or order of keys.

What it is: the scheme of Redis's DEBUG DIGEST, so that our data set can be
compared with that of a redis-server. Two ways to add a text to a digest: `blend`
(xor with the text's SHA-1: order does not matter) and `chain` (blend, then the
SHA-1 of the result: order matters). Keys, set members, pairs of hashes and
members of sorted sets are blended; elements of lists are chained. What it is
not: safe against somebody who wants two data sets to collide.

How to read it: `sha1`, then `blend` and `chain`, then `digest_record`, then the doors.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy, memset
from holdfast.engine.buf cimport Slice, slice_of
from holdfast.engine.full_forms cimport SET_KEY, HashEntry, SortedSet, hash_entry_key, hash_entry_value
from holdfast.engine.heap cimport Heap
from holdfast.engine.intset cimport Intset, intset_at, intset_count
from holdfast.engine.keyspace cimport Database, ks_peek
from holdfast.engine.listpack cimport Listpack, lp_first, lp_next, lp_text
from holdfast.engine.numbers cimport format_int64, parse_double
from holdfast.engine.ordered cimport Member, OrderedCursor, member_key, ordered_next, ordered_seek
from holdfast.engine.quicklist cimport QuickCursor, Quicklist, ql_next, ql_seek, ql_text
from holdfast.engine.record cimport (
    FLAG_EXPIRES, HASH_PACK, HASH_TABLE, LIST_PACK, LIST_QUICK, SET_INT, SET_PACK, SET_TABLE, STR_BUFFER,
    ZSET_TREE, Record, kind_of, record_key, record_string, type_of)
from holdfast.engine.state cimport Engine
from holdfast.engine.table cimport Table, TableCursor, table_walk, table_walk_next


cdef inline uint32_t rotated(uint32_t v, int n) noexcept nogil:
    return (v << n) | (v >> (32 - n))


cdef void sha1_block(uint32_t* h, const uint8_t* p) noexcept nogil:
    cdef uint32_t w[80]
    cdef uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f
    cdef int i
    for i in range(16):
        w[i] = (<uint32_t>p[4 * i] << 24) | (<uint32_t>p[4 * i + 1] << 16) | (<uint32_t>p[4 * i + 2] << 8) \
            | p[4 * i + 3]
    for i in range(16, 80):
        w[i] = rotated(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1)
    for i in range(80):
        if i < 20:
            f = ((b & c) | (~b & d)) + 0x5A827999u
        elif i < 40:
            f = (b ^ c ^ d) + 0x6ED9EBA1u
        elif i < 60:
            f = ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDCu
        else:
            f = (b ^ c ^ d) + 0xCA62C1D6u
        f = f + rotated(a, 5) + e + w[i]
        e = d
        d = c
        c = rotated(b, 30)
        b = a
        a = f
    h[0] += a
    h[1] += b
    h[2] += c
    h[3] += d
    h[4] += e


cdef void sha1(const uint8_t* p, size_t n, uint8_t* out) noexcept nogil:
    cdef uint32_t h[5]
    cdef uint8_t last[128]
    cdef size_t rest, room
    cdef uint64_t bits = <uint64_t>n * 8
    cdef int i
    h[0] = 0x67452301u
    h[1] = 0xEFCDAB89u
    h[2] = 0x98BADCFEu
    h[3] = 0x10325476u
    h[4] = 0xC3D2E1F0u
    rest = n
    while rest >= 64:
        sha1_block(h, p)
        p += 64
        rest -= 64
    memset(last, 0, sizeof(last))
    if rest:
        memcpy(last, p, rest)
    last[rest] = 0x80
    room = 64 if rest < 56 else 128
    for i in range(8):
        last[room - 1 - i] = <uint8_t>(bits >> (8 * i))
    sha1_block(h, last)
    if room == 128:
        sha1_block(h, last + 64)
    for i in range(5):
        out[4 * i] = <uint8_t>(h[i] >> 24)
        out[4 * i + 1] = <uint8_t>(h[i] >> 16)
        out[4 * i + 2] = <uint8_t>(h[i] >> 8)
        out[4 * i + 3] = <uint8_t>h[i]


cdef void blend(uint8_t* digest, const void* p, size_t n) noexcept nogil:
    cdef uint8_t hashed[20]
    cdef int i
    sha1(<const uint8_t*>p, n, hashed)
    for i in range(20):
        digest[i] ^= hashed[i]


cdef void chain(uint8_t* digest, const void* p, size_t n) noexcept nogil:
    cdef uint8_t hashed[20]
    blend(digest, p, n)
    sha1(digest, 20, hashed)
    memcpy(digest, hashed, 20)


cdef void chain_number(uint8_t* digest, uint32_t value) noexcept nogil:
    cdef uint8_t big_endian[4]
    big_endian[0] = <uint8_t>(value >> 24)
    big_endian[1] = <uint8_t>(value >> 16)
    big_endian[2] = <uint8_t>(value >> 8)
    big_endian[3] = <uint8_t>value
    chain(digest, big_endian, 4)


cdef void blend_pair(uint8_t* digest, Slice first, Slice second) noexcept nogil:
    cdef uint8_t pair[20]
    memset(pair, 0, 20)
    chain(pair, first.ptr, first.len)
    chain(pair, second.ptr, second.len)
    blend(digest, pair, 20)


cdef void blend_member(uint8_t* digest, Slice member, double score) noexcept nogil:
    cdef char text[128]
    cdef Slice shown
    shown.len = snprintf(text, sizeof(text), b"%.17g", score)
    shown.ptr = text
    blend_pair(digest, member, shown)


cdef void digest_packed(Record* r, uint8_t* digest, int kind) noexcept nogil:
    cdef Listpack lp = <Listpack>r.value.ptr
    cdef unsigned char* at = <unsigned char*>lp_first(lp)
    cdef char one[24]
    cdef char two[24]
    cdef Slice first, second
    cdef double score
    while at != NULL:
        first = lp_text(at, one)
        at = lp_next(lp, at)
        if kind == LIST_PACK:
            chain(digest, first.ptr, first.len)
        elif kind == SET_PACK:
            blend(digest, first.ptr, first.len)
        else:
            second = lp_text(at, two)
            at = lp_next(lp, at)
            if kind == HASH_PACK:
                blend_pair(digest, first, second)
            else:
                score = 0
                parse_double(second.ptr, second.len, &score)
                blend_member(digest, first, score)


cdef void digest_table(Record* r, uint8_t* digest, int kind) noexcept nogil:
    cdef TableCursor cursor
    cdef void* entry
    cdef Slice first, second
    table_walk(<Table*>r.value.ptr, &cursor)
    entry = table_walk_next(&cursor)
    while entry != NULL:
        if kind == SET_TABLE:
            blend(digest, <char*>entry + SET_KEY, (<uint32_t*>entry)[0])
        else:
            first.ptr = hash_entry_key(<HashEntry*>entry)
            first.len = (<HashEntry*>entry).klen
            second.ptr = hash_entry_value(<HashEntry*>entry)
            second.len = (<HashEntry*>entry).vlen
            blend_pair(digest, first, second)
        entry = table_walk_next(&cursor)


cdef void digest_quicklist(Quicklist* ql, uint8_t* digest) noexcept:
    cdef QuickCursor cursor
    cdef Heap heap          # nodes that are opened and packed again; in balance afterwards
    cdef char scratch[24]
    cdef Slice text
    cdef bint more
    memset(&heap, 0, sizeof(heap))
    more = ql_seek(&heap, ql, 0, &cursor)
    while more:
        text = ql_text(&cursor, scratch)
        chain(digest, text.ptr, text.len)
        more = ql_next(&heap, &cursor)


cdef void digest_record(Record* r, uint8_t* digest) noexcept:
    cdef int kind = kind_of(r)
    cdef char scratch[24]
    cdef Slice text
    cdef uint32_t i
    cdef OrderedCursor cursor
    cdef Member* member
    chain_number(digest, type_of(r))
    if kind <= STR_BUFFER:
        text = record_string(r, scratch)
        chain(digest, text.ptr, text.len)
    elif kind == LIST_QUICK:
        digest_quicklist(<Quicklist*>r.value.ptr, digest)
    elif kind == SET_INT:
        for i in range(intset_count(<Intset>r.value.ptr)):
            blend(digest, scratch, format_int64(scratch, intset_at(<Intset>r.value.ptr, i)))
    elif kind == SET_TABLE or kind == HASH_TABLE:
        digest_table(r, digest, kind)
    elif kind == ZSET_TREE:
        member = ordered_seek((<SortedSet*>r.value.ptr).order, 0, &cursor)
        while member != NULL:
            text.ptr = member_key(member)
            text.len = member.klen
            blend_member(digest, text, member.score)
            member = ordered_next(&cursor)
    else:
        digest_packed(r, digest, kind)
    if r.state & FLAG_EXPIRES:
        blend(digest, b"!!expire!!", 10)


def digest_of_all(Engine engine):
    """Return the digest of all databases as 40 hexadecimal digits (DEBUG DIGEST)."""
    cdef uint8_t whole[20]
    cdef uint8_t one[20]
    cdef TableCursor cursor
    cdef Database* db
    cdef Record* r
    cdef int i, j
    memset(whole, 0, 20)
    for i in range(engine.ks.db_count):
        db = &engine.ks.dbs[i]
        if db.keys == 0:
            continue
        chain_number(whole, i)
        for j in range(db.tables):
            table_walk(&db.table[j], &cursor)
            r = <Record*>table_walk_next(&cursor)
            while r != NULL:
                memset(one, 0, 20)
                chain(one, record_key(r), r.klen)
                digest_record(r, one)
                blend(whole, one, 20)
                r = <Record*>table_walk_next(&cursor)
    return (<char*>whole)[:20].hex()


def digest_of_value(Engine engine, int database, bytes key):
    """Return the digest of one value as 40 hexadecimal digits; zeros when there is no such key."""
    cdef uint8_t digest[20]
    cdef Record* r = ks_peek(&engine.ks, &engine.ks.dbs[database], slice_of(key))
    memset(digest, 0, 20)
    if r != NULL:
        digest_record(r, digest)
    return (<char*>digest)[:20].hex()
