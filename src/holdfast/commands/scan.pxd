# SCAN, and what SSCAN, HSCAN and ZSCAN share with it.
#
# A family's handler: scan_cursor, find the key (missing: scan_nothing; another
# type: WRONGTYPE), scan_options, then scan_table_values for the table form, or
# for a small form scan_begin, the elements that scan_wants, scan_end.

from libc.stdint cimport int64_t, uint64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.state cimport Call, Engine, Session
from holdfast.engine.table cimport Table

cdef struct ScanOptions:
    int64_t count
    bint match          # pattern is given (and is not just "*")
    Slice pattern
    bint by_type        # SCAN ... TYPE
    Slice type_name

# Read a cursor. False: answered with "invalid cursor".
cdef bint scan_cursor(Session s, Slice text, uint64_t* cursor) noexcept
# Read MATCH, COUNT and (with_type) TYPE from argv[first] on. False: answered.
cdef bint scan_options(Session s, Call* c, int first, bint with_type, ScanOptions* o) noexcept
# Whether an element (a field, a member, a key) is to be told.
cdef bint scan_wants(ScanOptions* o, const char* p, size_t n) noexcept nogil
# The reply of a missing key: cursor 0, nothing.
cdef void scan_nothing(Session s) noexcept
# A reply in parts: the next cursor (0: done); then `count` bulk strings; then the end.
cdef size_t scan_begin(Session s, uint64_t cursor) noexcept
cdef void scan_end(Session s, size_t at, size_t count) noexcept
# The whole reply for a table: `kind` is SET_TABLE, HASH_TABLE or ZSET_TREE (give &sorted_set.table).
cdef int scan_table_values(Session s, Call* c, Table* t, int kind, uint64_t cursor, ScanOptions* o) except -1

cpdef int register(Engine e) except -1
