"""Probes: thin Python doors to the engine's C functions, for tests only.

What this is: each class owns one heap and one structure in it, each function
calls one C function; Python values in, Python values out. What this is not: an
API of the product, nor a place for logic: a probe that does more than convert
would hide what it shows.

How to read it: one class or a few functions a leaf module, in the order
listpack, intset, numbers, checksum, lzf. Positions are element indexes.
"""

from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from holdfast.engine.buf cimport slice_bytes
from holdfast.engine.checksum cimport crc16 as c_crc16, crc64 as c_crc64, key_slot as c_key_slot
from holdfast.engine.heap cimport Heap, heap_alloc, heap_size
from holdfast.engine.intset cimport (
    Intset, intset_add, intset_at, intset_bytes, intset_contains, intset_copy, intset_count, intset_free,
    intset_new, intset_remove, intset_valid as c_intset_valid,
)
from holdfast.engine.listpack cimport (
    Listpack, LpValue, lp_append, lp_append_int, lp_bytes, lp_copy, lp_count, lp_delete, lp_entry_bytes,
    lp_equal, lp_find, lp_first, lp_fit, lp_fits, lp_free, lp_get, lp_insert, lp_last, lp_new, lp_next,
    lp_prepend, lp_prev, lp_replace, lp_replace_int, lp_seek, lp_text, lp_valid,
)
from holdfast.engine.lzf cimport lzf_compress as c_lzf_compress, lzf_decompress as c_lzf_decompress
from holdfast.engine.numbers cimport (
    format_double as c_format_double, format_int64 as c_format_int64,
    format_long_double as c_format_long_double, parse_double as c_parse_double,
    parse_int64 as c_parse_int64, parse_long_double as c_parse_long_double,
)


cdef class ListpackProbe:
    cdef Heap heap
    cdef Listpack lp

    def __cinit__(self, room=0):
        self.heap.used = 0
        self.heap.peak = 0
        self.lp = lp_new(&self.heap, room)

    def __dealloc__(self):
        lp_free(&self.heap, self.lp)

    @staticmethod
    def of_bytes(raw: bytes):
        cdef ListpackProbe probe = ListpackProbe()
        if not listpack_valid(raw):
            raise ValueError("not a listpack")
        lp_free(&probe.heap, probe.lp)
        probe.lp = <Listpack>heap_alloc(&probe.heap, len(raw))
        memcpy(probe.lp, <const char*>raw, len(raw))
        return probe

    def close(self):
        lp_free(&self.heap, self.lp)
        self.lp = NULL
        return self.heap.used

    def raw(self):
        return (<const char*>self.lp)[:lp_bytes(self.lp)]

    def block_bytes(self):
        return heap_size(self.lp)

    def count(self):
        return lp_count(self.lp)

    def copy(self):
        cdef ListpackProbe probe = ListpackProbe()
        lp_free(&probe.heap, probe.lp)
        probe.lp = lp_copy(&probe.heap, self.lp)
        return probe

    def fit(self):
        self.lp = lp_fit(&self.heap, self.lp)

    def forwards(self):
        cdef uint8_t* at = lp_first(self.lp)
        found = []
        while at != NULL:
            found.append(self._value(at))
            at = lp_next(self.lp, at)
        return found

    def backwards(self):
        cdef uint8_t* at = lp_last(self.lp)
        found = []
        while at != NULL:
            found.append(self._value(at))
            at = lp_prev(self.lp, at)
        return found

    def seek(self, index: int):
        cdef uint8_t* at = lp_seek(self.lp, index)
        return self._value(at) if at != NULL else None

    def text(self, index: int):
        cdef char scratch[24]
        return slice_bytes(lp_text(self._at(index), scratch))

    def equal(self, index: int, text: bytes):
        return bool(lp_equal(self._at(index), text, len(text)))

    def find(self, text: bytes, start: int = 0, skip: int = 0):
        cdef uint8_t* at = lp_find(self.lp, lp_seek(self.lp, start), text, len(text), skip)
        return self._index(at)

    def append(self, text: bytes):
        self.lp = lp_append(&self.heap, self.lp, text, len(text))

    def append_many(self, text: bytes, times: int):
        cdef const char* p = text
        cdef size_t n = len(text)
        cdef long left = times
        while left > 0:
            self.lp = lp_append(&self.heap, self.lp, p, n)
            left -= 1

    def append_int(self, value: int):
        self.lp = lp_append_int(&self.heap, self.lp, value)

    def append_own(self, index: int):
        cdef LpValue value
        lp_get(self._at(index), &value)
        self.lp = lp_append(&self.heap, self.lp, value.text.ptr, value.text.len)

    def prepend(self, text: bytes):
        self.lp = lp_prepend(&self.heap, self.lp, text, len(text))

    def insert(self, index: int, text: bytes):
        cdef uint8_t* moved
        self.lp = lp_insert(&self.heap, self.lp, lp_seek(self.lp, index), text, len(text), &moved)
        return self._index(moved)

    def replace(self, index: int, text: bytes):
        cdef uint8_t* moved
        self.lp = lp_replace(&self.heap, self.lp, self._at(index), text, len(text), &moved)
        return self._index(moved)

    def replace_int(self, index: int, value: int):
        cdef uint8_t* moved
        self.lp = lp_replace_int(&self.heap, self.lp, self._at(index), value, &moved)
        return self._index(moved)

    def delete(self, index: int, count: int = 1):
        cdef uint8_t* following
        self.lp = lp_delete(&self.heap, self.lp, self._at(index), count, &following)
        return self._index(following)

    def fits(self, size: int):
        return bool(lp_fits(self.lp, size))

    cdef uint8_t* _at(self, long index) except NULL:
        cdef uint8_t* at = lp_seek(self.lp, index)
        if at == NULL:
            raise IndexError(index)
        return at

    cdef object _value(self, uint8_t* at):
        cdef LpValue value
        lp_get(at, &value)
        return value.number if value.text.ptr == NULL else slice_bytes(value.text)

    cdef object _index(self, uint8_t* wanted):
        cdef uint8_t* at = lp_first(self.lp)
        index = 0
        if wanted == NULL:
            return None
        while at != NULL and at != wanted:
            at = lp_next(self.lp, at)
            index += 1
        if at == NULL:
            raise AssertionError("the position is no element")
        return index


def listpack_valid(raw: bytes):
    """Check a copy in a block of exactly that size, so that a checker of memory sees any over-read."""
    cdef size_t n = len(raw)
    cdef uint8_t* exact = <uint8_t*>malloc(n)
    cdef bint valid
    memcpy(exact, <const char*>raw, n)
    valid = lp_valid(exact, n)
    free(exact)
    return bool(valid)


def listpack_entry_bytes(text: bytes):
    return lp_entry_bytes(text, len(text))


cdef class IntsetProbe:
    cdef Heap heap
    cdef Intset s

    def __cinit__(self):
        self.heap.used = 0
        self.heap.peak = 0
        self.s = intset_new(&self.heap)

    def __dealloc__(self):
        intset_free(&self.heap, self.s)

    def close(self):
        intset_free(&self.heap, self.s)
        self.s = NULL
        return self.heap.used

    def raw(self):
        return (<const char*>self.s)[:intset_bytes(self.s)]

    def block_bytes(self):
        return heap_size(self.s)

    def copy(self):
        cdef IntsetProbe probe = IntsetProbe()
        intset_free(&probe.heap, probe.s)
        probe.s = intset_copy(&probe.heap, self.s)
        return probe

    def members(self):
        return [intset_at(self.s, index) for index in range(intset_count(self.s))]

    def contains(self, value: int):
        return bool(intset_contains(self.s, value))

    def add(self, value: int):
        cdef bint changed
        self.s = intset_add(&self.heap, self.s, value, &changed)
        return bool(changed)

    def remove(self, value: int):
        cdef bint changed
        self.s = intset_remove(&self.heap, self.s, value, &changed)
        return bool(changed)


def intset_valid(raw: bytes):
    """Check a copy in a block of exactly that size."""
    cdef size_t n = len(raw)
    cdef uint8_t* exact = <uint8_t*>malloc(n)
    cdef bint valid
    memcpy(exact, <const char*>raw, n)
    valid = c_intset_valid(exact, n)
    free(exact)
    return bool(valid)


def parse_int64(text: bytes):
    cdef int64_t value
    return value if c_parse_int64(text, len(text), &value) else None


def parse_double(text: bytes):
    cdef double value
    return value if c_parse_double(text, len(text), &value) else None


def long_double_round_trip(text: bytes):
    """The text of the long double that this text reads as, or None."""
    cdef char room[5200]
    cdef long double value
    if not c_parse_long_double(text, len(text), &value):
        return None
    return room[:c_format_long_double(room, value)]


def format_long_double(value: float):
    cdef char room[5200]
    return room[:c_format_long_double(room, value)]


def format_int64(value: int):
    cdef char room[24]
    return room[:c_format_int64(room, value)]


def format_double(value: float):
    cdef char room[40]
    return room[:c_format_double(room, value)]


def crc16(text: bytes):
    return c_crc16(text, len(text))


def crc64(crc: int, text: bytes):
    return c_crc64(crc, <const char*>text, len(text))


def key_slot(key: bytes):
    return c_key_slot(key, len(key))


def lzf_compress(raw: bytes, room: int):
    """Into a block of exactly `room` bytes; None when that is too small."""
    cdef char* out = <char*>malloc(room)
    cdef size_t n = c_lzf_compress(<const char*>raw, len(raw), out, room)
    try:
        return out[:n] if n else None
    finally:
        free(out)


def lzf_decompress(raw: bytes, room: int):
    """From and into blocks of exactly that size; None when damaged or too small."""
    cdef size_t size = len(raw)
    cdef char* exact = <char*>malloc(size)
    cdef char* out = <char*>malloc(room)
    cdef size_t n
    memcpy(exact, <const char*>raw, size)
    n = c_lzf_decompress(exact, size, out, room)
    try:
        return out[:n] if n else None
    finally:
        free(exact)
        free(out)
