"""The quicklist: a list of listpacks, for lists too long for one.

What it is: a doubly linked list of nodes. A node is a listpack of up to the
list's fill, or one plain element too large for a listpack of that size. Both
ends are cheap to push and pop; the middle is reached by counting nodes.

What it is not: a judge of when a list should be one listpack, and no place for
text borrowed from the same list when inserting in its middle.

How to read it: limits, then compression, then nodes (make, cut, join), then
the ends, cursors, and edits at a cursor. An edit in the middle that does not
fit makes a node of its own and then joins neighbours that fit in one
(`join_around`), so that splitting leaves no crumbs behind. Deleting joins a
node that fell below a quarter of its limit.

Compression (list-compress-depth): `compress` nodes at each end are raw, the
others LZF where that saves something. A cursor needs its node raw: the list
remembers it as `opened` and packs it again when the cursor goes on, when the
next one is sought, or when an end of the list changes. So with compression on,
a list has one cursor at a time.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport abort
from libc.string cimport memcmp, memcpy

from holdfast.engine.buf cimport Slice
from holdfast.engine.heap cimport Heap, heap_alloc, heap_free, heap_realloc, heap_size
from holdfast.engine.listpack cimport (
    LP_BYTES_MAX, lp_append, lp_bytes, lp_count, lp_delete, lp_equal, lp_first, lp_fit, lp_fits, lp_free,
    lp_insert, lp_last, lp_new, lp_next, lp_prepend, lp_prev, lp_replace, lp_seek, lp_text, lp_valid,
)
from holdfast.engine.lzf cimport lzf_compress, lzf_decompress

cdef enum:
    SMALLEST_NODE_BYTES = 4096      # list-max-listpack-size -1; each step down doubles it
    SIZE_STEPS = 5
    COUNTED_NODE_BYTES = 8192       # bytes are bounded also where the fill counts elements
    ENTRY_EXTRA_BYTES = 8           # estimate of what an element takes beside its text
    LISTPACK_HEADER = 6
    LISTPACK_FRAME = 7              # header and end mark
    PACK_FROM_BYTES = 48            # smaller nodes are not worth compressing
    PACK_GAIN_BYTES = 8


# -- limits ------------------------------------------------------------------

cdef inline size_t node_bytes_max(Quicklist* ql) noexcept nogil:
    cdef int step
    if ql.fill >= 0:
        return COUNTED_NODE_BYTES
    step = -ql.fill - 1
    return <size_t>SMALLEST_NODE_BYTES << (step if step < SIZE_STEPS else SIZE_STEPS - 1)


cdef inline bint is_large(Heap* h, Quicklist* ql, size_t n) noexcept nogil:
    if h.plain_from:            # DEBUG QUICKLIST-PACKED-THRESHOLD
        return n >= h.plain_from or n > LP_BYTES_MAX // 2
    return n > node_bytes_max(ql)


cdef inline bint within(Quicklist* ql, size_t size, size_t count) noexcept nogil:
    """True when a node may have this many bytes and elements."""
    if size > node_bytes_max(ql):
        return False
    return ql.fill < 0 or count <= <size_t>(ql.fill if ql.fill > 0 else 1)


cdef inline bint accepts(Heap* h, Quicklist* ql, QuickNode* node, size_t n) noexcept nogil:
    """True when the node may take one more element of `n` bytes."""
    return (node != NULL and not node.plain and not is_large(h, ql, n)
            and within(ql, node.size + n + ENTRY_EXTRA_BYTES, node.count + 1))


cdef inline bint can_join(Quicklist* ql, QuickNode* left, QuickNode* right) noexcept nogil:
    return (left != NULL and right != NULL and not left.plain and not right.plain
            and within(ql, <size_t>left.size + right.size - LISTPACK_FRAME, <size_t>left.count + right.count))


cdef inline bint is_sparse(Quicklist* ql, QuickNode* node) noexcept nogil:
    if node.plain or node.size > node_bytes_max(ql) >> 2:
        return False
    return ql.fill < 0 or node.count <= <uint32_t>ql.fill >> 2


# -- compression -------------------------------------------------------------

cdef void pack(Heap* h, Quicklist* ql, QuickNode* node) noexcept nogil:
    cdef uint8_t* out
    cdef size_t n
    if node == NULL or node == ql.opened or node.packed or node.size < PACK_FROM_BYTES:
        return
    out = <uint8_t*>heap_alloc(h, node.size)
    n = lzf_compress(node.entry, node.size, out, node.size - PACK_GAIN_BYTES - 1)
    if n == 0:
        heap_free(h, out)
        return
    heap_free(h, node.entry)
    node.entry = <uint8_t*>heap_realloc(h, out, n)
    node.packed = <uint32_t>n


cdef void unpack(Heap* h, QuickNode* node) noexcept nogil:
    cdef uint8_t* raw
    if not node.packed:
        return
    raw = <uint8_t*>heap_alloc(h, node.size)
    if lzf_decompress(node.entry, node.packed, raw, node.size) != node.size:
        abort()             # our own bytes: memory is damaged
    heap_free(h, node.entry)
    node.entry = raw
    node.packed = 0


cdef void settle(Heap* h, Quicklist* ql, QuickNode* node) noexcept nogil:
    """Make the ends raw and what lies just behind them packed, and `node` what it should be."""
    cdef QuickNode* forward = ql.head
    cdef QuickNode* backward = ql.tail
    cdef int _depth
    if ql.compress <= 0 or forward == NULL:
        return
    for _depth in range(ql.compress):
        unpack(h, forward)
        unpack(h, backward)
        if forward == node or backward == node:
            node = NULL
        if forward == backward or forward.next == backward:
            return
        forward = forward.next
        backward = backward.prev
    pack(h, ql, forward)
    pack(h, ql, backward)
    pack(h, ql, node)


cdef void close_opened(Heap* h, Quicklist* ql) noexcept nogil:
    cdef QuickNode* node = ql.opened
    if node != NULL:
        ql.opened = NULL
        settle(h, ql, node)


cdef inline void open_node(Heap* h, Quicklist* ql, QuickNode* node) noexcept nogil:
    """Make a node raw for a cursor."""
    if ql.compress > 0 and ql.opened != node:
        close_opened(h, ql)
        unpack(h, node)
        ql.opened = node


# -- nodes -------------------------------------------------------------------

cdef QuickNode* node_new(Heap* h, uint8_t* entry, size_t size, size_t count, bint plain) noexcept nogil:
    cdef QuickNode* node = <QuickNode*>heap_alloc(h, sizeof(QuickNode))
    node.prev = NULL
    node.next = NULL
    node.entry = entry
    node.size = <uint32_t>size
    node.packed = 0
    node.count = <uint32_t>count
    node.plain = plain
    return node


cdef uint8_t* plain_entry(Heap* h, const char* p, size_t n) noexcept nogil:
    cdef uint8_t* entry = <uint8_t*>heap_alloc(h, n)
    memcpy(entry, p, n)
    return entry


cdef void node_fill(Heap* h, Quicklist* ql, QuickNode* node, const char* p, size_t n) noexcept nogil:
    """Give a node one element as its only content."""
    node.packed = 0
    node.count = 1
    node.plain = is_large(h, ql, n)
    if node.plain:
        node.entry = plain_entry(h, p, n)
        node.size = <uint32_t>n
    else:
        node.entry = lp_append(h, lp_new(h, LISTPACK_FRAME + n + ENTRY_EXTRA_BYTES), p, n)
        node.size = lp_bytes(node.entry)


cdef QuickNode* node_of(Heap* h, Quicklist* ql, const char* p, size_t n) noexcept nogil:
    cdef QuickNode* node = node_new(h, NULL, 0, 0, False)
    node_fill(h, ql, node, p, n)
    return node


cdef void link(Quicklist* ql, QuickNode* node, QuickNode* prev, QuickNode* next) noexcept nogil:
    node.prev = prev
    node.next = next
    if prev != NULL:
        prev.next = node
    else:
        ql.head = node
    if next != NULL:
        next.prev = node
    else:
        ql.tail = node
    ql.nodes += 1


cdef void unlink(Heap* h, Quicklist* ql, QuickNode* node) noexcept nogil:
    """Take a node out and free it."""
    if node.prev != NULL:
        node.prev.next = node.next
    else:
        ql.head = node.next
    if node.next != NULL:
        node.next.prev = node.prev
    else:
        ql.tail = node.prev
    ql.nodes -= 1
    if ql.opened == node:
        ql.opened = NULL
    heap_free(h, node.entry)
    heap_free(h, node)


cdef inline void set_frame(uint8_t* lp, size_t size, size_t count) noexcept nogil:
    """Write a listpack's header and end mark (its layout: listpack.pxd)."""
    cdef int i
    if count > 65535:
        count = 65535
    for i in range(4):
        lp[i] = <uint8_t>(size >> (8 * i))
    lp[4] = <uint8_t>count
    lp[5] = <uint8_t>(count >> 8)
    lp[size - 1] = 0xFF


cdef QuickNode* cut(Heap* h, Quicklist* ql, QuickNode* node, uint8_t* at, long offset) noexcept nogil:
    """Move the elements from `at` (number `offset`) on into a new node behind this raw one."""
    cdef size_t kept = at - node.entry
    cdef size_t tail = node.size - kept             # end mark included
    cdef QuickNode* right
    cdef uint8_t* entry = <uint8_t*>heap_alloc(h, LISTPACK_HEADER + tail)
    memcpy(entry + LISTPACK_HEADER, at, tail)
    right = node_new(h, entry, LISTPACK_HEADER + tail, node.count - offset, False)
    set_frame(entry, right.size, right.count)
    link(ql, right, node, node.next)
    node.size = <uint32_t>(kept + 1)
    node.count = <uint32_t>offset
    set_frame(node.entry, node.size, node.count)
    node.entry = <uint8_t*>heap_realloc(h, node.entry, node.size)
    return right


cdef QuickNode* join(
        Heap* h, Quicklist* ql, QuickNode* left, QuickNode* right, QuickCursor* c) noexcept nogil:
    """Move the right node's elements into the left one; the cursor stays on its element."""
    cdef size_t size = <size_t>left.size + right.size - LISTPACK_FRAME
    cdef size_t shift = left.size - LISTPACK_FRAME  # of an element of `right`, in bytes
    cdef size_t place = 0
    if c != NULL and (c.node == left or c.node == right):
        place = c.at - c.node.entry
        if c.node == right:
            place += shift
            c.offset += left.count
            c.node = left
            if ql.opened == right:
                ql.opened = left
    unpack(h, left)
    unpack(h, right)
    left.entry = <uint8_t*>heap_realloc(h, left.entry, size)
    memcpy(left.entry + left.size - 1, right.entry + LISTPACK_HEADER, right.size - LISTPACK_FRAME)
    left.size = <uint32_t>size
    left.count += right.count
    set_frame(left.entry, size, left.count)
    unlink(h, ql, right)
    if place:
        c.at = left.entry + place
    return left


cdef void join_around(Heap* h, Quicklist* ql, QuickNode* node, QuickCursor* c) noexcept nogil:
    """Join a node and its neighbours on both sides where two fit in one; settle them all."""
    if can_join(ql, node.prev, node):
        node = join(h, ql, node.prev, node, c)
    if can_join(ql, node, node.next):
        join(h, ql, node, node.next, c)
    if node.prev != NULL and can_join(ql, node.prev.prev, node.prev):
        join(h, ql, node.prev.prev, node.prev, c)
    if node.next != NULL and can_join(ql, node.next, node.next.next):
        join(h, ql, node.next, node.next.next, c)
    settle(h, ql, node)
    if node.prev != NULL:
        settle(h, ql, node.prev)
    if node.next != NULL:
        settle(h, ql, node.next)


# -- the whole list ----------------------------------------------------------

cdef Quicklist* ql_new(Heap* h, int fill, int compress) noexcept nogil:
    cdef Quicklist* ql = <Quicklist*>heap_alloc(h, sizeof(Quicklist))
    ql.head = NULL
    ql.tail = NULL
    ql.count = 0
    ql.nodes = 0
    ql.fill = fill
    ql.compress = compress
    ql.opened = NULL
    return ql


cdef void ql_free(Heap* h, Quicklist* ql) noexcept nogil:
    cdef QuickNode* node = ql.head
    cdef QuickNode* next
    while node != NULL:
        next = node.next
        heap_free(h, node.entry)
        heap_free(h, node)
        node = next
    heap_free(h, ql)


cdef bint ql_drain(Heap* h, Quicklist* ql, int nodes) noexcept nogil:
    cdef QuickNode* node = ql.head
    while node != NULL:
        if nodes == 0:
            return True
        nodes -= 1
        ql.head = node.next
        heap_free(h, node.entry)
        heap_free(h, node)
        node = ql.head
    heap_free(h, ql)
    return False


cdef Quicklist* ql_copy(Heap* h, Quicklist* ql) noexcept nogil:
    cdef Quicklist* copy = ql_new(h, ql.fill, ql.compress)
    cdef QuickNode* node = ql.head
    cdef QuickNode* twin
    cdef QuickNode* opened = NULL
    while node != NULL:
        twin = node_new(h, plain_entry(h, <const char*>node.entry, node.packed if node.packed else node.size),
                        node.size, node.count, node.plain)
        twin.packed = node.packed
        link(copy, twin, copy.tail, NULL)
        if node == ql.opened:
            opened = twin
        node = node.next
    copy.count = ql.count
    settle(h, copy, opened)
    return copy


cdef size_t ql_bytes(Quicklist* ql) noexcept nogil:
    cdef size_t bytes = heap_size(ql)
    cdef QuickNode* node = ql.head
    while node != NULL:
        bytes += heap_size(node) + heap_size(node.entry)
        node = node.next
    return bytes


# -- the ends ----------------------------------------------------------------

cdef inline void end_node_changed(Heap* h, Quicklist* ql) noexcept nogil:
    """A node came or went at an end of the list, which also ends all cursors."""
    if ql.compress > 0:
        close_opened(h, ql)
        settle(h, ql, NULL)


cdef inline void finish(Heap* h, QuickNode* node) noexcept nogil:
    """Give back the room to grow of a node that is an end no more."""
    if node != NULL and not node.plain and not node.packed:
        node.entry = lp_fit(h, node.entry)


cdef void ql_push_head(Heap* h, Quicklist* ql, const char* p, size_t n) noexcept nogil:
    cdef QuickNode* node = ql.head
    ql.count += 1
    if accepts(h, ql, node, n):
        node.entry = lp_prepend(h, node.entry, p, n)
        node.size = lp_bytes(node.entry)
        node.count += 1
        return
    link(ql, node_of(h, ql, p, n), NULL, node)
    finish(h, node)
    end_node_changed(h, ql)


cdef void ql_push_tail(Heap* h, Quicklist* ql, const char* p, size_t n) noexcept nogil:
    cdef QuickNode* node = ql.tail
    ql.count += 1
    if accepts(h, ql, node, n):
        node.entry = lp_append(h, node.entry, p, n)
        node.size = lp_bytes(node.entry)
        node.count += 1
        return
    link(ql, node_of(h, ql, p, n), node, NULL)
    finish(h, node)
    end_node_changed(h, ql)


cdef void ql_append_listpack(Heap* h, Quicklist* ql, uint8_t* lp) noexcept nogil:
    cdef size_t count = lp_count(lp)
    if count == 0:
        lp_free(h, lp)
        return
    link(ql, node_new(h, lp, lp_bytes(lp), count, False), ql.tail, NULL)
    ql.count += count
    end_node_changed(h, ql)


cdef void ql_append_plain(Heap* h, Quicklist* ql, const char* p, size_t n) noexcept nogil:
    link(ql, node_new(h, plain_entry(h, p, n), n, 1, True), ql.tail, NULL)
    ql.count += 1
    end_node_changed(h, ql)


cdef inline Slice plain_text(QuickNode* node) noexcept nogil:
    cdef Slice text
    text.ptr = <const char*>node.entry
    text.len = node.size
    return text


cdef bint ql_peek(Heap* h, Quicklist* ql, bint head, Slice* out, char* scratch) noexcept nogil:
    cdef QuickNode* node = ql.head if head else ql.tail
    if node == NULL:
        return False
    if node.plain:
        out[0] = plain_text(node)
    else:
        out[0] = lp_text(lp_first(node.entry) if head else lp_last(node.entry), scratch)
    return True


cdef void ql_drop(Heap* h, Quicklist* ql, bint head) noexcept nogil:
    cdef QuickNode* node = ql.head if head else ql.tail
    if node == NULL:
        return
    ql.count -= 1
    if node.count > 1:
        node.entry = lp_delete(h, node.entry, lp_first(node.entry) if head else lp_last(node.entry), 1, NULL)
        node.size = lp_bytes(node.entry)
        node.count -= 1
        return
    unlink(h, ql, node)
    end_node_changed(h, ql)


# -- cursors -----------------------------------------------------------------

cdef bint enter(Heap* h, QuickCursor* c, QuickNode* node, long offset) noexcept nogil:
    """Put the cursor on a node's element (offset -1: the last); NULL: past an end."""
    c.node = node
    c.at = NULL
    c.offset = 0
    if node == NULL:
        close_opened(h, c.list)
        return False
    open_node(h, c.list, node)
    if not node.plain:
        c.at = lp_seek(node.entry, offset)
    c.offset = offset if offset >= 0 else node.count - 1
    return True


cdef QuickNode* find_node(Quicklist* ql, long* index) noexcept nogil:
    """The node that holds an element; the index becomes its offset there."""
    cdef QuickNode* node
    cdef long left = index[0]
    cdef long before
    if left < 0:
        left += <long>ql.count
    if left < 0 or left >= <long>ql.count:
        return NULL
    if left <= <long>(ql.count >> 1):
        node = ql.head
        while left >= <long>node.count:
            left -= node.count
            node = node.next
    else:
        node = ql.tail
        before = <long>ql.count - node.count
        while left < before:
            node = node.prev
            before -= node.count
        left -= before
    index[0] = left
    return node


cdef bint ql_seek(Heap* h, Quicklist* ql, long index, QuickCursor* c) noexcept nogil:
    c.list = ql
    c.node = find_node(ql, &index)
    return enter(h, c, c.node, index)


cdef bint ql_next(Heap* h, QuickCursor* c) noexcept nogil:
    if c.node == NULL:
        return False
    if not c.node.plain:
        c.at = lp_next(c.node.entry, c.at)
        if c.at != NULL:
            c.offset += 1
            return True
    return enter(h, c, c.node.next, 0)


cdef bint ql_prev(Heap* h, QuickCursor* c) noexcept nogil:
    if c.node == NULL:
        return False
    if not c.node.plain:
        c.at = lp_prev(c.node.entry, c.at)
        if c.at != NULL:
            c.offset -= 1
            return True
    return enter(h, c, c.node.prev, -1)


cdef Slice ql_text(QuickCursor* c, char* scratch) noexcept nogil:
    if c.node.plain:
        return plain_text(c.node)
    return lp_text(c.at, scratch)


cdef bint ql_equal(QuickCursor* c, const char* p, size_t n) noexcept nogil:
    if c.node.plain:
        return c.node.size == n and memcmp(c.node.entry, p, n) == 0
    return lp_equal(c.at, p, n)


# -- edits at a cursor -------------------------------------------------------

cdef void insert_node(Heap* h, QuickCursor* c, const char* p, size_t n, bint after) noexcept nogil:
    """Insert where the cursor's node cannot take it: as a node of its own, joined if it fits."""
    cdef Quicklist* ql = c.list
    cdef QuickNode* node = c.node
    cdef QuickNode* fresh
    cdef QuickNode* right
    cdef uint8_t* at = c.at
    cdef long offset = c.offset + after
    fresh = node_of(h, ql, p, n)
    if offset == 0:
        link(ql, fresh, node.prev, node)
    elif offset == <long>node.count:
        link(ql, fresh, node, node.next)
    else:
        if after:
            at = lp_next(node.entry, at)
        right = cut(h, ql, node, at, offset)
        link(ql, fresh, node, right)
        if after:
            c.at = lp_last(node.entry)
        else:
            c.node = right
            c.at = lp_first(right.entry)
            c.offset = 0
    if ql.compress > 0:
        ql.opened = c.node
    join_around(h, ql, fresh, c)


cdef void ql_insert(Heap* h, QuickCursor* c, const char* p, size_t n, bint after) noexcept nogil:
    cdef Quicklist* ql = c.list
    cdef QuickNode* node = c.node
    cdef uint8_t* moved
    cdef size_t place
    if node == NULL:
        return
    ql.count += 1
    if not accepts(h, ql, node, n):
        insert_node(h, c, p, n, after)
        return
    place = c.at - node.entry
    if after:
        node.entry = lp_insert(h, node.entry, lp_next(node.entry, c.at), p, n, &moved)
        c.at = node.entry + place
    else:
        node.entry = lp_insert(h, node.entry, c.at, p, n, &moved)
        c.at = lp_next(node.entry, moved)
        c.offset += 1
    node.size = lp_bytes(node.entry)
    node.count += 1


cdef inline size_t text_bytes(QuickCursor* c) noexcept nogil:
    cdef char scratch[24]
    return lp_text(c.at, scratch).len


cdef void ql_replace(Heap* h, QuickCursor* c, const char* p, size_t n) noexcept nogil:
    cdef Quicklist* ql = c.list
    cdef QuickNode* node = c.node
    if node == NULL:
        return
    if (not node.plain and not is_large(h, ql, n) and lp_fits(node.entry, n)
            and (node.size + n <= node_bytes_max(ql) or text_bytes(c) >= n)):
        node.entry = lp_replace(h, node.entry, c.at, p, n, &c.at)
        node.size = lp_bytes(node.entry)
        return
    # Stand the element alone, give the node its new content, join what fits.
    if c.offset > 0:
        node = cut(h, ql, node, c.at, c.offset)
    if node.count > 1:
        cut(h, ql, node, lp_seek(node.entry, 1), 1)
    heap_free(h, node.entry)
    node_fill(h, ql, node, p, n)
    c.node = node
    c.offset = 0
    c.at = NULL if node.plain else lp_first(node.entry)
    if ql.compress > 0:
        ql.opened = node
    join_around(h, ql, node, c)


cdef void join_sparse(Heap* h, Quicklist* ql, QuickNode* node, QuickCursor* c) noexcept nogil:
    """Join a node that deletions left nearly empty, if it then has room to spare."""
    cdef size_t roomy = (node_bytes_max(ql) >> 2) * 3
    if is_sparse(ql, node):
        if can_join(ql, node.prev, node) and <size_t>node.prev.size + node.size <= roomy:
            node = join(h, ql, node.prev, node, c)
        elif can_join(ql, node, node.next) and <size_t>node.next.size + node.size <= roomy:
            join(h, ql, node, node.next, c)
    settle(h, ql, node)


cdef bint ql_delete(Heap* h, QuickCursor* c, bint backwards) noexcept nogil:
    cdef Quicklist* ql = c.list
    cdef QuickNode* node = c.node
    cdef QuickNode* beside
    cdef uint8_t* following
    if node == NULL:
        return False
    ql.count -= 1
    beside = node.prev if backwards else node.next
    if node.count == 1:
        unlink(h, ql, node)
        enter(h, c, beside, -1 if backwards else 0)
        settle(h, ql, NULL)
        return c.node != NULL
    node.entry = lp_delete(h, node.entry, c.at, 1, &following)
    node.size = lp_bytes(node.entry)
    node.count -= 1
    if backwards and c.offset > 0:
        c.offset -= 1
        c.at = lp_prev(node.entry, following) if following != NULL else lp_last(node.entry)
    elif not backwards and following != NULL:
        c.at = following
    else:
        enter(h, c, beside, -1 if backwards else 0)
    join_sparse(h, ql, node, c)
    return c.node != NULL


cdef size_t ql_delete_range(Heap* h, Quicklist* ql, long start, size_t count) noexcept nogil:
    cdef QuickNode* node = find_node(ql, &start)
    cdef QuickNode* next
    cdef QuickNode* last = NULL         # the last node that lost some but not all
    cdef size_t deleted = 0
    cdef size_t here
    if node == NULL:
        return 0
    close_opened(h, ql)
    while node != NULL and deleted < count:
        next = node.next
        here = node.count - start
        if here > count - deleted:
            here = count - deleted
        if here == node.count:
            unlink(h, ql, node)
        else:
            unpack(h, node)
            node.entry = lp_delete(h, node.entry, lp_seek(node.entry, start), <uint32_t>here, NULL)
            node.size = lp_bytes(node.entry)
            node.count -= <uint32_t>here
            if last != NULL:
                settle(h, ql, last)
            last = node
        deleted += here
        start = 0
        node = next
    ql.count -= deleted
    if last != NULL:
        join_around(h, ql, last, NULL)
    settle(h, ql, NULL)
    return deleted


# -- proof -------------------------------------------------------------------

cdef bint ql_check(Heap* h, Quicklist* ql) noexcept nogil:
    cdef QuickNode* node = ql.head
    cdef QuickNode* before = NULL
    cdef size_t nodes = 0
    cdef size_t count = 0
    cdef bint deep
    while node != NULL:
        if node.prev != before or node.count == 0 or (node.plain and node.count != 1):
            return False
        deep = (ql.compress > 0 and nodes >= <size_t>ql.compress and nodes + ql.compress < ql.nodes
                and node != ql.opened)
        if node.packed:
            if not deep or node.packed + PACK_GAIN_BYTES >= node.size:
                return False
        elif deep:
            pack(h, ql, node)
            if node.packed:             # it should have been
                return False
        if not node.packed and not node.plain:
            if not lp_valid(node.entry, node.size) or lp_count(node.entry) != node.count:
                return False
        nodes += 1
        count += node.count
        before = node
        node = node.next
    return ql.tail == before and ql.nodes == nodes and ql.count == count
