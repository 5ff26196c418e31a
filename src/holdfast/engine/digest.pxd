# Digests of the data: equal data, equal digest, whatever the encoding or order of keys.

from libc.stdint cimport uint8_t
from holdfast.engine.record cimport Record

cdef void sha1(const uint8_t* p, size_t n, uint8_t* out) noexcept nogil
# Mix the digest of a value (and whether it expires) into `digest` (20 bytes).
cdef void digest_record(Record* r, uint8_t* digest) noexcept
