"""Probes: the ordered tree and the quicklist with a Python face, for tests.

Not for use: every call converts objects and checks its arguments, so that a
test cannot crash the process. Each probe owns its heap; `used` after `close`
is what leaked.
"""

from holdfast.engine.heap cimport Heap, heap_alloc, heap_free
from holdfast.engine.ordered cimport (
    MEMBER_KEY, Member, Ordered, OrderedCursor, member_key, ordered_append, ordered_bytes, ordered_check,
    ordered_compare, ordered_count, ordered_free, ordered_insert, ordered_lex_from, ordered_lex_to,
    ordered_moved, ordered_new, ordered_next, ordered_prev, ordered_rank, ordered_rank_from,
    ordered_rank_to, ordered_remove, ordered_rescore, ordered_seek,
)
from holdfast.engine.buf cimport Slice, slice_bytes
from holdfast.engine.listpack cimport lp_append, lp_new
from holdfast.engine.quicklist cimport (
    QuickCursor, Quicklist, QuickNode, ql_append_listpack, ql_append_plain, ql_bytes, ql_check, ql_copy,
    ql_delete, ql_delete_range, ql_drop, ql_equal, ql_free, ql_insert, ql_new, ql_next, ql_peek, ql_prev,
    ql_push_head, ql_push_tail, ql_replace, ql_seek, ql_text,
)
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memset


def compare(double score_a, bytes a, double score_b, bytes b):
    return ordered_compare(score_a, a, len(a), score_b, b, len(b))


cdef class OrderedProbe:
    cdef Heap heap
    cdef Ordered* tree
    cdef dict places            # bytes -> address of the member

    def __cinit__(self):
        self.heap.used = 0
        self.heap.peak = 0
        self.tree = ordered_new(&self.heap)
        self.places = {}

    def __dealloc__(self):
        self._close()

    cdef void _close(self):
        cdef uint64_t address
        if self.tree == NULL:
            return
        ordered_free(&self.heap, self.tree)
        self.tree = NULL
        for address in self.places.values():
            heap_free(&self.heap, <void*>address)
        self.places = {}

    cdef Member* _member(self, bytes text, double score):
        cdef Member* m = <Member*>heap_alloc(&self.heap, MEMBER_KEY + len(text))
        m.klen = <unsigned int>len(text)
        m.score = score
        memcpy(member_key(m), <const char*>text, len(text))
        return m

    cdef Member* _place(self, bytes text) except NULL:
        return <Member*><uint64_t>self.places[text]

    def close(self):
        """Free everything; return the bytes still counted."""
        self._close()
        return self.heap.used

    def __len__(self):
        return ordered_count(self.tree)

    @property
    def tree_bytes(self):
        return ordered_bytes(self.tree)

    @property
    def used(self):
        return self.heap.used

    def check(self):
        return bool(ordered_check(self.tree))

    def add(self, bytes text, double score, bint append=False):
        if text in self.places or score != score:
            raise ValueError(text)
        cdef Member* m = self._member(text, score)
        self.places[text] = <uint64_t>m
        if append:
            ordered_append(&self.heap, self.tree, m)
        else:
            ordered_insert(&self.heap, self.tree, m)

    def remove(self, bytes text):
        cdef Member* m = self._place(text)
        ordered_remove(&self.heap, self.tree, m)
        del self.places[text]
        heap_free(&self.heap, m)

    def rescore(self, bytes text, double score):
        ordered_rescore(&self.heap, self.tree, self._place(text), score)

    def move(self, bytes text):
        """Give the member a new address; the old one is spoilt before the tree hears of it."""
        cdef Member* old = self._place(text)
        cdef Member* fresh = self._member(text, old.score)
        self.places[text] = <uint64_t>fresh
        memset(old, 255, MEMBER_KEY)
        ordered_moved(self.tree, old, fresh)
        heap_free(&self.heap, old)

    def rank(self, bytes text):
        return ordered_rank(self.tree, self._place(text))

    def score_range(self, double low, double high, bint with_low=True, bint with_high=True):
        return ordered_rank_from(self.tree, low, with_low), ordered_rank_to(self.tree, high, with_high)

    def lex_range(self, bytes low, bytes high, bint with_low=True, bint with_high=True):
        return (ordered_lex_from(self.tree, low, len(low), with_low),
                ordered_lex_to(self.tree, high, len(high), with_high))

    def walk(self, size_t rank=0, bint backwards=False):
        """Pairs of (score, bytes) from a rank to an end."""
        cdef OrderedCursor cursor
        cdef Member* m = ordered_seek(self.tree, rank, &cursor)
        pairs = []
        while m != NULL:
            pairs.append((m.score, member_key(m)[:m.klen]))
            m = ordered_prev(&cursor) if backwards else ordered_next(&cursor)
        if ordered_next(&cursor) != NULL or ordered_prev(&cursor) != NULL:
            raise AssertionError("a cursor past the end came back")
        return pairs

    def at(self, size_t rank):
        cdef OrderedCursor cursor
        cdef Member* m = ordered_seek(self.tree, rank, &cursor)
        return None if m == NULL else (m.score, member_key(m)[:m.klen])


cdef class QuicklistProbe:
    cdef Heap heap
    cdef Quicklist* ql
    cdef QuickCursor cursor
    cdef bint placed            # the cursor stands on an element

    def __cinit__(self, int fill=-2, int compress=0):
        self.heap.used = 0
        self.heap.peak = 0
        self.ql = ql_new(&self.heap, fill, compress)
        self.placed = False

    def __dealloc__(self):
        self.close()

    def close(self):
        """Free everything; return the bytes still counted."""
        if self.ql != NULL:
            ql_free(&self.heap, self.ql)
            self.ql = NULL
        return self.heap.used

    def __len__(self):
        return self.ql.count

    @property
    def used(self):
        return self.heap.used

    @property
    def bytes(self):
        return ql_bytes(self.ql)

    def check(self):
        return bool(ql_check(&self.heap, self.ql))

    def nodes(self):
        """(elements, bytes, packed bytes, plain) of each node."""
        cdef QuickNode* node = self.ql.head
        rows = []
        while node != NULL:
            rows.append((node.count, node.size, node.packed, bool(node.plain)))
            node = node.next
        return rows

    def push(self, bytes text, bint head=False):
        self.placed = False
        if head:
            ql_push_head(&self.heap, self.ql, text, len(text))
        else:
            ql_push_tail(&self.heap, self.ql, text, len(text))

    def peek(self, bint head=True):
        cdef Slice out
        cdef char scratch[24]
        return slice_bytes(out) if ql_peek(&self.heap, self.ql, head, &out, scratch) else None

    def drop(self, bint head=True):
        self.placed = False
        ql_drop(&self.heap, self.ql, head)

    def append_listpack(self, list texts):
        cdef uint8_t* lp = lp_new(&self.heap, 0)
        cdef bytes text
        self.placed = False
        for text in texts:
            lp = lp_append(&self.heap, lp, text, len(text))
        ql_append_listpack(&self.heap, self.ql, lp)

    def append_plain(self, bytes text):
        self.placed = False
        ql_append_plain(&self.heap, self.ql, text, len(text))

    def seek(self, long index):
        self.placed = ql_seek(&self.heap, self.ql, index, &self.cursor)
        return bool(self.placed)

    def step(self, bint backwards=False):
        self._must_be_placed()
        if backwards:
            self.placed = ql_prev(&self.heap, &self.cursor)
        else:
            self.placed = ql_next(&self.heap, &self.cursor)
        return bool(self.placed)

    def text(self):
        cdef char scratch[24]
        self._must_be_placed()
        return slice_bytes(ql_text(&self.cursor, scratch))

    def equal(self, bytes text):
        self._must_be_placed()
        return bool(ql_equal(&self.cursor, text, len(text)))

    def insert(self, bytes text, bint after=False):
        self._must_be_placed()
        ql_insert(&self.heap, &self.cursor, text, len(text), after)

    def replace(self, bytes text):
        self._must_be_placed()
        ql_replace(&self.heap, &self.cursor, text, len(text))

    def delete(self, bint backwards=False):
        self._must_be_placed()
        self.placed = ql_delete(&self.heap, &self.cursor, backwards)
        return bool(self.placed)

    def delete_range(self, long start, size_t count):
        self.placed = False
        return ql_delete_range(&self.heap, self.ql, start, count)

    def copy(self):
        """The elements of a copy, which is then freed; its rules are checked."""
        cdef Quicklist* ours = self.ql
        cdef QuickNode* opened = ours.opened
        self.ql = ql_copy(&self.heap, ours)
        try:
            if not self.check():
                raise AssertionError("the copy breaks a rule")
            return self.read()
        finally:
            ql_free(&self.heap, self.ql)
            self.ql = ours
            if ours.opened != opened:
                raise AssertionError("copying touched the original")

    def read(self, long start=0, bint backwards=False):
        """Elements from an index to an end; the cursor of the probe is lost."""
        cdef QuickCursor cursor
        cdef char scratch[24]
        cdef bint there = ql_seek(&self.heap, self.ql, start, &cursor)
        self.placed = False
        texts = []
        while there:
            texts.append(slice_bytes(ql_text(&cursor, scratch)))
            there = ql_prev(&self.heap, &cursor) if backwards else ql_next(&self.heap, &cursor)
        return texts

    def _must_be_placed(self):
        if not self.placed:
            raise IndexError("the cursor stands on nothing")
