# Strings edited in place: growing them, and the limit of their length.

from libc.stdint cimport int64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.record cimport Record
from holdfast.engine.state cimport Session

# True when the record is none or a string; otherwise the session was answered.
cdef bint is_string_or_none(Session s, Record* r) noexcept
# Whether `size` + `more` bytes may be one string; otherwise the session was answered.
cdef bint length_allowed(Session s, int64_t size, int64_t more) noexcept
# The bytes of the key's string, made at least `size` long with zeros, ready to be written (r: what
# ks_write gave for it). *length is the new length.
cdef char* grow_text(Session s, Slice key, Record* r, size_t size, size_t* length) noexcept
