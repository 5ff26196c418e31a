# The list as a value: one listpack while it is small, a quicklist beyond.
#
# `fill` and `compress` are list-max-listpack-size and list-compress-depth. A
# ListValue is what a record of a list points to: take it with list_value, and
# after every edit give it back with list_keep. A value under construction
# (loading, SORT ... STORE) begins with list_new and goes to ks_set_value.

from libc.stdint cimport uint8_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.heap cimport Heap
from holdfast.engine.listpack cimport lp_equal, lp_next, lp_prev, lp_text
from holdfast.engine.quicklist cimport QuickCursor, ql_equal, ql_next, ql_prev, ql_text
from holdfast.engine.record cimport LIST_PACK, LIST_QUICK, Record, kind_of, record_set_value

cdef struct ListValue:
    int kind            # LIST_PACK or LIST_QUICK
    void* ptr           # Listpack or Quicklist*

# A place in a list. An edit that does not take the cursor ends it; a compressed
# list has one cursor at a time (see quicklist.pxd).
cdef struct ListCursor:
    ListValue* list
    uint8_t* at         # element of a listpack; NULL: past an end
    QuickCursor quick   # element of a quicklist


cdef inline ListValue list_value(Record* r) noexcept nogil:
    cdef ListValue v
    v.kind = kind_of(r)
    v.ptr = r.value.ptr
    return v


cdef inline void list_keep(Record* r, ListValue* v) noexcept nogil:
    record_set_value(r, v.kind, v.ptr)


# An empty list; `room` is a hint: bytes of the texts to come.
cdef ListValue list_new(Heap* h, size_t room) noexcept nogil
cdef size_t list_count(ListValue* v) noexcept nogil

# ---- form ----
# Make it a quicklist if `count` more elements of `bytes` in all are too much for a listpack.
# To be called before the elements go in.
cdef void list_expect(
    Heap* h, ListValue* v, size_t bytes, size_t count, int fill, int compress
) noexcept nogil
# Make a quicklist of one node a listpack again if it fits (shrinking: fits by half, so that a
# list at the limit does not change its form at each edit). To be called after elements went.
cdef void list_shrink(Heap* h, ListValue* v, int fill, bint shrinking) noexcept nogil

# ---- the ends ----
cdef void list_push(Heap* h, ListValue* v, const char* p, size_t n, bint head) noexcept nogil
# The element at an end as text (borrowed, or in scratch of 24 bytes). False: the list is empty.
cdef bint list_peek(Heap* h, ListValue* v, bint head, Slice* out, char* scratch) noexcept nogil
cdef void list_drop(Heap* h, ListValue* v, bint head) noexcept nogil

# ---- the middle ----
# False when there is no such element. Negative indexes count from the tail.
cdef bint list_seek(Heap* h, ListValue* v, long index, ListCursor* c) noexcept nogil
# Insert beside the cursor, which stays on its element; list_expect comes before.
cdef void list_insert(Heap* h, ListCursor* c, const char* p, size_t n, bint after) noexcept nogil
cdef void list_replace(Heap* h, ListCursor* c, const char* p, size_t n) noexcept nogil
# Delete the element; the cursor moves to the next (with backwards: the one before). False: none.
cdef bint list_delete(Heap* h, ListCursor* c, bint backwards) noexcept nogil
cdef void list_delete_range(Heap* h, ListValue* v, long start, size_t count) noexcept nogil


cdef inline bint list_next(Heap* h, ListCursor* c) noexcept nogil:
    if c.list.kind == LIST_PACK:
        c.at = lp_next(<uint8_t*>c.list.ptr, c.at)
        return c.at != NULL
    return ql_next(h, &c.quick)


cdef inline bint list_prev(Heap* h, ListCursor* c) noexcept nogil:
    if c.list.kind == LIST_PACK:
        c.at = lp_prev(<uint8_t*>c.list.ptr, c.at)
        return c.at != NULL
    return ql_prev(h, &c.quick)


cdef inline Slice list_text(ListCursor* c, char* scratch) noexcept nogil:
    """The element as text: borrowed, or formatted into scratch (24 bytes)."""
    return lp_text(c.at, scratch) if c.list.kind == LIST_PACK else ql_text(&c.quick, scratch)


cdef inline bint list_equal(ListCursor* c, const char* p, size_t n) noexcept nogil:
    return lp_equal(c.at, p, n) if c.list.kind == LIST_PACK else ql_equal(&c.quick, p, n)
