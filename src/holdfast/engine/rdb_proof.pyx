"""Proof that a compact value from outside is sound.

What it is: the checks that RESTORE and loading make of a listpack before anything
else may walk it: that every element lies where lengths and back-lengths say, and
that no member comes twice. What it is not: a judgement of what a value means
(`rdb_decode`), or of intsets and older layouts, which prove themselves.

How to read it: nearly every listpack is proved by one walk, `prove_at_a_glance`:
its members are texts and small numbers in the one form that each can take, so
that equal members are equal bytes, and each sets one bit, chosen by its hash, in
a field so wide that mostly no two meet. Whatever that walk cannot say (damage, a
rare form, two members on one bit) is found out by `lp_valid` and `has_twins`.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort, free, malloc
from libc.string cimport memcmp, memcpy, memset
from holdfast.engine.buf cimport Slice
from holdfast.engine.listpack cimport lp_count, lp_first, lp_next, lp_text
from holdfast.engine.table cimport HashKey, siphash

cdef enum:
    HEADER_BYTES = 6
    END_MARK = 0xFF
    MEMBERS_AT_A_GLANCE = 128
    FIELD_WORDS_LEAST = 64
    FIELD_WORDS_MOST = 1024         # 65536 bits: an eighth of all listpacks of 128 members has two on one
    STACK_PLACES = 1024


cdef inline uint64_t quick_hash(const char* p, size_t n) noexcept nogil:
    """For small compact values only: whoever forges collisions gains little."""
    cdef uint64_t h = n * 0x9E3779B97F4A7C15ull
    cdef uint64_t word = 0
    cdef uint32_t low, high
    cdef const char* tail
    if n >= 8:
        tail = p + n - 8
        while p < tail:
            memcpy(&word, p, 8)
            h = (h ^ word) * 0xD6E8FEB86659FD93ull
            h ^= h >> 32
            p += 8
        memcpy(&word, tail, 8)
    elif n >= 4:
        memcpy(&low, p, 4)
        memcpy(&high, p + n - 4, 4)
        word = low | <uint64_t>high << 32
    elif n:
        word = <uint8_t>p[0] | <uint32_t><uint8_t>p[n >> 1] << 8 | <uint32_t><uint8_t>p[n - 1] << 16
    h ^= word
    h = (h ^ (h >> 32)) * 0xD6E8FEB86659FD93ull     # the last letters, which differ most, reach every bit
    return h ^ (h >> 32)


# ---- at a glance ----

cdef inline size_t short_body(const uint8_t* at, size_t left) noexcept nogil:
    """Bytes of an element without its back-length, which is right; 0: unsure. `left` bytes may be read."""
    cdef uint8_t kind = at[0]
    cdef size_t body
    if kind < 0xE0:
        body = 1 if kind < 0x80 else 1 + (kind & 63) if kind < 0xC0 else 2
        return body if body < left and at[body] == body else 0
    if kind < 0xF0:
        if left < 2:
            return 0
        body = 2 + ((<size_t>(kind & 15) << 8) | at[1])
        if body <= 127:
            return body if body < left and at[body] == body else 0
        return body if body + 1 < left and at[body] == body >> 7 and at[body + 1] == (body & 127 | 128) else 0
    if kind > 0xF4 or kind == 0xF0:
        return 0
    body = 9 if kind == 0xF4 else kind - 0xF1 + 3
    return body if body < left and at[body] == body else 0


cdef inline bint is_plain(const uint8_t* at, size_t body) noexcept nogil:
    """Whether an element has the one form that its text can take."""
    cdef uint8_t kind = at[0]
    if kind < 0x80:
        return True
    if kind < 0xC0:
        # What looks like a number might be one that should have been stored as such.
        return body > 1 and (at[1] > c'9' or at[body - 1] > c'9')
    if kind < 0xE0:
        return kind & 31 or at[1] > 127
    return kind < 0xF0 and body >= 66


cdef inline int small_score(const uint8_t* at, int* score) noexcept nogil:
    """Take a score that is a small integer; False: it is not."""
    cdef uint8_t kind = at[0]
    if kind < 0x80:
        score[0] = kind
        return True
    if not 0xC0 <= kind < 0xE0:
        return False
    score[0] = (kind & 31) << 8 | at[1]
    if score[0] >= 4096:
        score[0] -= 8192
    return True


cdef inline size_t body_like_last(
        const uint8_t* at, size_t left, uint8_t* last_kind, size_t* last_body) noexcept nogil:
    """`short_body`; where the last element was of this very kind its length is known.

    Elements are mostly alike, and a length that is guessed, then compared, lets the
    processor go on to the next element before this one has arrived.
    """
    cdef size_t body = last_body[0]
    if at[0] == last_kind[0] and body < left and at[body] == body:
        return body
    body = short_body(at, left)
    last_kind[0] = END_MARK         # no element's kind, and no length it could have
    last_body[0] = 0
    if body and body <= 127 and at[0] < 0xE0:
        last_kind[0] = at[0]        # this byte alone tells the length
        last_body[0] = body
    return body


cdef inline int walk(const uint8_t* p, size_t n, uint64_t* field, uint32_t mask, int shape) noexcept nogil:
    """The one walk; `shape` is a constant wherever this is called."""
    cdef const uint8_t* at = p + HEADER_BYTES
    cdef const uint8_t* last = p + n - 1
    cdef size_t body
    cdef uint64_t hashed, bit
    cdef uint64_t met = 0
    cdef uint32_t count = 0
    cdef int score = 0, last_score = -8192
    cdef uint8_t kind = END_MARK, second_kind = END_MARK
    cdef size_t known = 0, second_known = 0
    while at < last:
        body = body_like_last(at, last - at, &kind, &known)
        if body == 0:
            return UNSURE
        if shape != LOOSE:
            if not is_plain(at, body):
                return UNSURE
            hashed = quick_hash(<const char*>at, body)
            bit = <uint64_t>1 << (hashed >> 58)
            met |= field[hashed & mask] & bit
            field[hashed & mask] |= bit
        at += body + 1 + (body > 127)
        count += 1
        if shape == PAIRS or shape == SCORED:
            if at >= last:
                return UNSURE
            body = body_like_last(at, last - at, &second_kind, &second_known)
            if body == 0:
                return UNSURE
            if shape == SCORED:
                if not small_score(at, &score) or score <= last_score:
                    return UNSURE
                last_score = score
            at += body + 1 + (body > 127)
            count += 1
    return SOUND if met == 0 and at == last and count == (p[4] | <uint32_t>p[5] << 8) else UNSURE


cdef int prove_at_a_glance(const uint8_t* p, size_t n, int shape) noexcept nogil:
    cdef uint64_t field[FIELD_WORDS_MOST]
    cdef uint32_t members, total
    cdef uint32_t words = FIELD_WORDS_LEAST
    if n < HEADER_BYTES + 1 or p[n - 1] != END_MARK:
        return UNSURE
    memcpy(&total, p, 4)            # little endian, as the layout is; elsewhere nothing is sure at a glance
    if total != n:
        return UNSURE
    if shape == LOOSE:
        return walk(p, n, NULL, 0, LOOSE)
    members = (p[4] | <uint32_t>p[5] << 8) >> (0 if shape == MEMBERS else 1)
    if members > MEMBERS_AT_A_GLANCE:
        return UNSURE
    while words < FIELD_WORDS_MOST and words * 16 < members * members:
        words *= 2
    memset(field, 0, words * 8)
    if shape == MEMBERS:
        return walk(p, n, field, words - 1, MEMBERS)
    if shape == PAIRS:
        return walk(p, n, field, words - 1, PAIRS)
    return walk(p, n, field, words - 1, SCORED)


# ---- for certain ----

cdef bint has_twins(uint8_t* lp, bint pairs, HashKey* seed) noexcept nogil:
    cdef uint32_t here[STACK_PLACES]
    cdef uint32_t* places = here
    cdef uint32_t room = 16
    cdef uint32_t count = lp_count(lp) >> (1 if pairs else 0)
    cdef uint32_t place
    cdef char digits[24]
    cdef char other_digits[24]
    cdef Slice text, other
    cdef uint8_t* at = lp_first(lp)
    cdef bint found = False
    while room < count * 2:
        room *= 2
    if room > STACK_PLACES:
        places = <uint32_t*>malloc(<size_t>room * 4)
        if places == NULL:
            abort()
    memset(places, 0, <size_t>room * 4)
    while at != NULL and not found:
        text = lp_text(at, digits)
        place = <uint32_t>(quick_hash(text.ptr, text.len) if room <= STACK_PLACES
                           else siphash(text.ptr, text.len, seed)) & (room - 1)
        while places[place]:
            other = lp_text(lp + places[place], other_digits)
            if other.len == text.len and memcmp(other.ptr, text.ptr, text.len) == 0:
                found = True
                break
            place = (place + 1) & (room - 1)
        places[place] = <uint32_t>(at - lp)
        at = lp_next(lp, at)
        if pairs and at != NULL:
            at = lp_next(lp, at)
    if places != here:
        free(places)
    return found
