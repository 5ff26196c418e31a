# The twelve hashes of keys that a pool can name (`hash:` in nutcracker.yml).

from libc.stdint cimport uint32_t

# Every hash gives 32 bits; what libmemcached made of each is kept, signed bytes included.
ctypedef uint32_t (*key_hash_t)(const unsigned char* key, size_t n) noexcept nogil

# The hash of a name; NULL: there is none of that name.
cdef key_hash_t hash_named(str name) noexcept
# MD5 of a short text: the points of a ketama circle.
cdef void md5(const unsigned char* text, size_t n, unsigned char* digest) noexcept nogil
