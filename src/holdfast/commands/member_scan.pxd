# SSCAN and ZSCAN: cursor, options and reply.

from libc.stdint cimport int64_t, uint64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.state cimport Call, Session
from holdfast.engine.table cimport Table

cdef struct ScanOptions:
    int64_t count
    bint match          # pattern is given (and is not just "*")
    Slice pattern

# Read a cursor. False: answered with "invalid cursor".
cdef bint scan_cursor(Session s, Slice text, uint64_t* cursor) noexcept
# Read MATCH and COUNT from argv[first] on. False: answered.
cdef bint scan_options(Session s, Call* c, int first, ScanOptions* o) noexcept
# Whether a member is to be told.
cdef bint scan_wants(ScanOptions* o, const char* p, size_t n) noexcept nogil
# The reply of a missing key: cursor 0, nothing.
cdef void scan_nothing(Session s) noexcept
# A reply in parts: the next cursor (0: done); then `count` bulk strings; then the end.
cdef size_t scan_begin(Session s, uint64_t cursor) noexcept
cdef void scan_end(Session s, size_t at, size_t count) noexcept
# The whole reply for a table; `kind` is SET_TABLE or ZSET_TREE.
cdef int scan_table_values(Session s, Table* t, int kind, uint64_t cursor, ScanOptions* o) except -1
