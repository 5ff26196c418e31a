# List commands at the ends of a list, and what the other list commands share with them.
# The index of the family is `register` in lists.pyx.
from libc.stdint cimport int64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.record cimport Record
from holdfast.engine.state cimport Call, Engine, Session

cpdef int register(Engine e) except -1

# The list of a key for a read or a write. NULL with *wrong false: there is no
# such key; with *wrong true: answered with WRONGTYPE.
cdef Record* list_read(Session s, Slice key, bint* wrong) noexcept
cdef Record* list_write(Session s, Slice key, bint* wrong) noexcept
# A list lost `count` elements: tell of it, and of the end of the key when it is empty; else
# see to its form. `r` is what list_write gave; it ends here.
cdef void removed(Session s, Record* r, Slice key, const char* event, int64_t count) noexcept
# Pop one element as reply: a bulk string.
cdef void pop_one(Session s, Record* r, Slice key, bint head) noexcept
# Pop up to `count` elements of the first of these keys that is a list, as reply: its key and an array. False:
# none is there. True also where a key that is no list came first: that was answered.
cdef bint pop_from_first(Session s, Slice* keys, int number, bint head, int64_t count) noexcept
# Elements from `start` on as an array, backwards towards the head if asked.
cdef void reply_range(Session s, Record* r, long start, size_t count, bint backwards) noexcept
# Move one element from the list at argv[1] to the key at argv[2]: LMOVE and its kin, reply included.
# False: nothing was moved (no list at argv[1], or answered with WRONGTYPE; *missing tells).
cdef bint move_one(Session s, Call* c, bint from_head, bint to_head, bint* missing) except? False
# LEFT or RIGHT. False: answered with a syntax error.
cdef bint read_side(Session s, Slice arg, bint* head) noexcept
# numkeys key ... LEFT|RIGHT [COUNT n] from argv[first] on. False: answered with an error.
cdef bint read_pop_options(Session s, Call* c, int first, int64_t* keys, bint* head, int64_t* count) noexcept
