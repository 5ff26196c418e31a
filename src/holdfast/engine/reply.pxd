# Replies, in the protocol version of the session (RESP2 or RESP3).

from libc.stdint cimport int64_t
from holdfast.engine.buf cimport Buf, Slice
from holdfast.engine.state cimport Engine, Session

cdef void reply_raw(Session s, const char* p, size_t n) noexcept
cdef void reply_ok(Session s) noexcept
cdef void reply_status(Session s, const char* text) noexcept           # +text
cdef void reply_error(Session s, const char* text) noexcept            # -text (with its code: b"ERR ...")
cdef void reply_error_bytes(Session s, bytes text)                     # the same; newlines become spaces
cdef void reply_wrong_type(Session s) noexcept
cdef void reply_syntax_error(Session s) noexcept
# ERR value is not an integer or out of range
cdef void reply_not_integer(Session s) noexcept
cdef void reply_not_float(Session s) noexcept
cdef void reply_no_such_key(Session s) noexcept
cdef void reply_int(Session s, int64_t value) noexcept
cdef void reply_bulk(Session s, const char* p, size_t n) noexcept
cdef void reply_slice(Session s, Slice text) noexcept
cdef void reply_text(Session s, const char* text) noexcept              # a C string as a bulk string
cdef void reply_null(Session s) noexcept                                # $-1 or _
cdef void reply_null_array(Session s) noexcept                          # *-1 or _
cdef void reply_array(Session s, size_t count) noexcept
cdef void reply_map(Session s, size_t pairs) noexcept                   # RESP2: array of twice as many
cdef void reply_set(Session s, size_t count) noexcept                   # RESP2: array
cdef void reply_push(Session s, size_t count) noexcept                  # RESP2: array
cdef void reply_bool(Session s, bint value) noexcept                    # RESP2: 1 or 0
cdef void reply_double(Session s, double value) noexcept                # RESP2: bulk
cdef void reply_verbatim(Session s, const char* kind, const char* p, size_t n) noexcept   # kind: b"txt"
# An aggregate whose count is known only afterwards: remember where, write the
# elements, then close it (reply_array_at / reply_set_at / reply_map_at).
cdef size_t reply_later(Session s) noexcept
cdef void reply_array_at(Session s, size_t at, size_t count) noexcept
cdef void reply_set_at(Session s, size_t at, size_t count) noexcept
cdef void reply_map_at(Session s, size_t at, size_t pairs) noexcept
# A Python value: None, int, bytes, str, float, bool, list, tuple, dict, set,
# Status, Verbatim, Push or an exception of engine.errors.
cdef int reply_value(Session s, object value) except -1
# See that the session's output leaves at the end of this tick.
cdef void wake(Session s) noexcept
