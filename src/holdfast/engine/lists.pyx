"""The list as a value: one listpack while it is small, a quicklist beyond.

What it is: the two forms of a list behind one set of functions, and the rules
by which Redis 7.2 changes the form (t_list.c: listTypeTryConversion). A list
becomes a quicklist before an edit that would take its listpack over
list-max-listpack-size, and a listpack again when one node is left that holds
no more than half of that.

What it is not: a command or a key; records are only the place that a value
comes from and goes back to.
"""

from libc.stdint cimport uint8_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.heap cimport Heap
from holdfast.engine.listpack cimport (
    Listpack, lp_append, lp_bytes, lp_count, lp_delete, lp_first, lp_fit, lp_insert, lp_last, lp_new,
    lp_next, lp_prepend, lp_prev, lp_replace, lp_seek, lp_text)
from holdfast.engine.quicklist cimport (
    Quicklist, QuickNode, ql_append_listpack, ql_delete, ql_delete_range, ql_drop, ql_free, ql_insert, ql_new,
    ql_peek, ql_push_head, ql_push_tail, ql_replace, ql_seek)
from holdfast.engine.record cimport LIST_PACK, LIST_QUICK

cdef enum:
    SMALLEST_BYTES = 4096       # list-max-listpack-size -1; each step down doubles it
    SIZE_STEPS = 5
    COUNTED_BYTES = 8192        # bytes are bounded also where elements are counted
    EMPTY_BYTES = 7             # of a listpack without elements
    ENTRY_EXTRA_BYTES = 3       # what a short element takes beside its text


# ---- the limits

cdef inline size_t bytes_max(int fill) noexcept nogil:
    """Bytes of a listpack by a negative list-max-listpack-size."""
    cdef int step = -fill - 1
    return <size_t>SMALLEST_BYTES << (step if step < SIZE_STEPS else SIZE_STEPS - 1)


cdef inline size_t count_max(int fill) noexcept nogil:
    return fill if fill > 0 else 1


cdef inline bint exceeds(int fill, size_t bytes, size_t count) noexcept nogil:
    if fill < 0:
        return bytes > bytes_max(fill)
    return bytes > COUNTED_BYTES or count > count_max(fill)


# ---- the whole

cdef ListValue list_new(Heap* h, size_t room) noexcept nogil:
    cdef ListValue v
    v.kind = LIST_PACK
    v.ptr = lp_new(h, EMPTY_BYTES + ENTRY_EXTRA_BYTES + room)
    return v


cdef size_t list_count(ListValue* v) noexcept nogil:
    return lp_count(<Listpack>v.ptr) if v.kind == LIST_PACK else (<Quicklist*>v.ptr).count


# ---- its form

cdef void list_expect(
        Heap* h, ListValue* v, size_t bytes, size_t count, int fill, int compress
) noexcept nogil:
    cdef Listpack lp = <Listpack>v.ptr
    cdef Quicklist* ql
    if v.kind != LIST_PACK or not exceeds(fill, lp_bytes(lp) + bytes, lp_count(lp) + count):
        return
    ql = ql_new(h, fill, compress)
    ql_append_listpack(h, ql, lp_fit(h, lp))
    v.kind = LIST_QUICK
    v.ptr = ql


cdef void list_shrink(Heap* h, ListValue* v, int fill, bint shrinking) noexcept nogil:
    cdef Quicklist* ql
    cdef QuickNode* node
    cdef size_t parts = 2 if shrinking else 1
    if v.kind != LIST_QUICK:
        return
    ql = <Quicklist*>v.ptr
    node = ql.head
    if ql.nodes != 1 or node.plain or node.packed:
        return
    if node.size > bytes_max(fill) // parts if fill < 0 else ql.count > count_max(fill) // parts:
        return
    v.kind = LIST_PACK
    v.ptr = lp_fit(h, node.entry)
    node.entry = NULL
    ql_free(h, ql)


# ---- the ends

cdef void list_push(Heap* h, ListValue* v, const char* p, size_t n, bint head) noexcept nogil:
    if v.kind == LIST_QUICK:
        if head:
            ql_push_head(h, <Quicklist*>v.ptr, p, n)
        else:
            ql_push_tail(h, <Quicklist*>v.ptr, p, n)
    elif head:
        v.ptr = lp_prepend(h, <Listpack>v.ptr, p, n)
    else:
        v.ptr = lp_append(h, <Listpack>v.ptr, p, n)


cdef bint list_peek(Heap* h, ListValue* v, bint head, Slice* out, char* scratch) noexcept nogil:
    cdef uint8_t* at
    if v.kind == LIST_QUICK:
        return ql_peek(h, <Quicklist*>v.ptr, head, out, scratch)
    at = lp_first(<Listpack>v.ptr) if head else lp_last(<Listpack>v.ptr)
    if at == NULL:
        return False
    out[0] = lp_text(at, scratch)
    return True


cdef void list_drop(Heap* h, ListValue* v, bint head) noexcept nogil:
    cdef Listpack lp = <Listpack>v.ptr
    cdef uint8_t* at
    if v.kind == LIST_QUICK:
        ql_drop(h, <Quicklist*>v.ptr, head)
        return
    at = lp_first(lp) if head else lp_last(lp)
    if at != NULL:
        v.ptr = lp_delete(h, lp, at, 1, NULL)


# ---- the middle

cdef bint list_seek(Heap* h, ListValue* v, long index, ListCursor* c) noexcept nogil:
    c.list = v
    c.at = NULL
    if v.kind == LIST_QUICK:
        return ql_seek(h, <Quicklist*>v.ptr, index, &c.quick)
    c.at = lp_seek(<Listpack>v.ptr, index)
    return c.at != NULL


cdef void list_insert(Heap* h, ListCursor* c, const char* p, size_t n, bint after) noexcept nogil:
    cdef Listpack lp = <Listpack>c.list.ptr
    cdef size_t place
    cdef uint8_t* moved
    if c.list.kind == LIST_QUICK:
        ql_insert(h, &c.quick, p, n, after)
        return
    place = c.at - lp
    lp = lp_insert(h, lp, lp_next(lp, c.at) if after else c.at, p, n, &moved)
    c.list.ptr = lp
    c.at = lp + place if after else lp_next(lp, moved)


cdef void list_replace(Heap* h, ListCursor* c, const char* p, size_t n) noexcept nogil:
    if c.list.kind == LIST_QUICK:
        ql_replace(h, &c.quick, p, n)
    else:
        c.list.ptr = lp_replace(h, <Listpack>c.list.ptr, c.at, p, n, &c.at)


cdef bint list_delete(Heap* h, ListCursor* c, bint backwards) noexcept nogil:
    cdef Listpack lp
    cdef uint8_t* following
    if c.list.kind == LIST_QUICK:
        return ql_delete(h, &c.quick, backwards)
    lp = lp_delete(h, <Listpack>c.list.ptr, c.at, 1, &following)
    c.list.ptr = lp
    if backwards:
        following = lp_prev(lp, following) if following != NULL else lp_last(lp)
    c.at = following
    return following != NULL


cdef void list_delete_range(Heap* h, ListValue* v, long start, size_t count) noexcept nogil:
    cdef uint8_t* at
    if count == 0:
        return
    if v.kind == LIST_QUICK:
        ql_delete_range(h, <Quicklist*>v.ptr, start, count)
        return
    at = lp_seek(<Listpack>v.ptr, start)
    if at != NULL:
        v.ptr = lp_delete(h, <Listpack>v.ptr, at, <unsigned int>count, NULL)
