"""Probes: thin Python doors to the engine's C functions, for tests only.

What this is: each class owns one heap and one structure in it, each function
calls one C function; Python values in, Python values out. What this is not: an
API of the product, nor a place for logic: a probe that does more than convert
would hide what it shows.

How to read it: one class or a few functions a leaf module, in the order
listpack, intset, numbers, checksum, lzf. Positions are element indexes.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from holdfast.engine.buf cimport Slice, slice_bytes
from holdfast.engine.heap cimport Heap, heap_alloc, heap_size
from holdfast.engine.listpack cimport *
from holdfast.engine.numbers cimport *


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
