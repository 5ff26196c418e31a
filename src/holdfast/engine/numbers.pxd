# Text to number and back, byte for byte as Redis does it.

from libc.stdint cimport int64_t, uint64_t
from holdfast.engine.buf cimport Slice

# Strict decimal int64: no spaces, no plus, no leading zeros, "-0" refused.
cdef bint parse_int64(const char* p, size_t n, int64_t* out) noexcept nogil
# As Redis reads doubles (strtod, whole text, inf/-inf allowed, NaN and spaces refused; what
# strtod knows besides goes too: "+1", "0x10", "1e3", "infinity"; over- and underflow are refused).
cdef bint parse_double(const char* p, size_t n, double* out) noexcept nogil
# Long double for INCRBYFLOAT and HINCRBYFLOAT.
cdef bint parse_long_double(const char* p, size_t n, long double* out) noexcept nogil

# Each writes at `p` (room for 24, 40, 5200 bytes) and returns the length.
cdef size_t format_int64(char* p, int64_t value) noexcept nogil
# Text that reads back equal, of Grisu2's digits (see grisu.pxd), in the form of Redis 7.2's
# replies ("3", "3.1", "1e+20", "inf", "-0", "nan").
cdef size_t format_double(char* p, double value) noexcept nogil
# %.17Lf without trailing zeros, as INCRBYFLOAT replies ("inf", "-inf", "nan": callers refuse them before).
cdef size_t format_long_double(char* p, long double value) noexcept nogil
