"""The twelve hashes of keys that a pool can name (`hash:` in nutcracker.yml).

What it is: the functions by which libmemcached and twemproxy place keys, value
for value, so that the same key goes to the same server. Where those read a key
as signed characters, bytes above 127 are extended with their sign here as well;
`crc16` and `crc32` give what they give there, which is not the standard's value.
What it is not: the choice of a server (`distribution`).

How to read it: one function a hash, `hash_named` is the index. Sources: the
public descriptions of FNV (isthe.com/chongo/tech/comp/fnv), of Jenkins' lookup3
and one-at-a-time (burtleburtle.net/bob/hash), of Hsieh's SuperFastHash
(azillionmonkeys.com/qed/hash.html), of MurmurHash2, and RFC 1321.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import math

cdef uint32_t CRC32[256]        # reflected, polynomial 0xEDB88320
cdef uint16_t CRC16[256]        # polynomial 0x1021
cdef uint32_t MD5_SINES[64]     # RFC 1321, section 3.4: floor(2^32 * abs(sin(i + 1)))
cdef uint8_t MD5_SHIFTS[16]


def _fill_tables():
    cdef int i, j
    cdef uint32_t value
    for i in range(256):
        value = i
        for j in range(8):
            value = (value >> 1) ^ (0xEDB88320u if value & 1 else 0)
        CRC32[i] = value
        value = i << 8
        for j in range(8):
            value = ((value << 1) ^ (0x1021u if value & 0x8000 else 0)) & 0xFFFF
        CRC16[i] = <uint16_t>value
    for i in range(64):
        MD5_SINES[i] = <uint32_t><uint64_t>math.floor(abs(math.sin(i + 1)) * 4294967296.0)
    for i, shift in enumerate((7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21)):
        MD5_SHIFTS[i] = shift

_fill_tables()


cdef inline uint32_t signed_byte(unsigned char c) noexcept nogil:
    """A byte as a signed character, widened to 32 bits."""
    return <uint32_t><int32_t><signed char>c


cdef inline uint32_t rotate(uint32_t x, int k) noexcept nogil:
    return (x << k) | (x >> (32 - k))


cdef uint32_t one_at_a_time(const unsigned char* key, size_t n) noexcept nogil:
    cdef uint32_t h = 0
    cdef size_t i
    for i in range(n):
        h += signed_byte(key[i])
        h += h << 10
        h ^= h >> 6
    h += h << 3
    h ^= h >> 11
    h += h << 15
    return h


cdef uint32_t crc16(const unsigned char* key, size_t n) noexcept nogil:
    """CRC16 whose register is never cut to 16 bits."""
    cdef uint32_t crc = 0
    cdef size_t i
    for i in range(n):
        crc = (crc << 8) ^ CRC16[((crc >> 8) ^ key[i]) & 0xFF]
    return crc


cdef uint32_t crc32a(const unsigned char* key, size_t n) noexcept nogil:
    cdef uint32_t crc = 0xFFFFFFFFu
    cdef size_t i
    for i in range(n):
        crc = (crc >> 8) ^ CRC32[(crc ^ key[i]) & 0xFF]
    return ~crc


cdef uint32_t crc32(const unsigned char* key, size_t n) noexcept nogil:
    """Fifteen bits out of the middle of the CRC32."""
    return (crc32a(key, n) >> 16) & 0x7FFF


cdef uint32_t fnv1_64(const unsigned char* key, size_t n) noexcept nogil:
    cdef uint64_t h = 0xCBF29CE484222325u
    cdef size_t i
    for i in range(n):
        h *= <uint64_t>0x100000001B3u
        h ^= <uint64_t><int64_t><signed char>key[i]
    return <uint32_t>h


cdef uint32_t fnv1a_64(const unsigned char* key, size_t n) noexcept nogil:
    """The lower half of the 64-bit constants, in 32-bit arithmetic."""
    cdef uint32_t h = 0x84222325u
    cdef size_t i
    for i in range(n):
        h ^= signed_byte(key[i])
        h *= 0x1B3u
    return h


cdef uint32_t fnv1_32(const unsigned char* key, size_t n) noexcept nogil:
    cdef uint32_t h = 2166136261u
    cdef size_t i
    for i in range(n):
        h *= 16777619u
        h ^= signed_byte(key[i])
    return h


cdef uint32_t fnv1a_32(const unsigned char* key, size_t n) noexcept nogil:
    cdef uint32_t h = 2166136261u
    cdef size_t i
    for i in range(n):
        h ^= signed_byte(key[i])
        h *= 16777619u
    return h


cdef inline uint32_t pair(const unsigned char* p) noexcept nogil:
    """Two bytes, little-endian."""
    return <uint32_t>p[0] | (<uint32_t>p[1] << 8)


cdef uint32_t hsieh(const unsigned char* key, size_t n) noexcept nogil:
    cdef uint32_t h = 0
    cdef size_t quads = n >> 2
    cdef size_t i
    for i in range(quads):
        h += pair(key)
        h = (h << 16) ^ ((pair(key + 2) << 11) ^ h)
        key += 4
        h += h >> 11
    if n & 3 == 3:
        h += pair(key)
        h ^= h << 16
        h ^= signed_byte(key[2]) << 18
        h += h >> 11
    elif n & 3 == 2:
        h += pair(key)
        h ^= h << 11
        h += h >> 17
    elif n & 3 == 1:
        h += key[0]
        h ^= h << 10
        h += h >> 1
    if n:
        h ^= h << 3
        h += h >> 5
        h ^= h << 4
        h += h >> 17
        h ^= h << 25
        h += h >> 6
    return h


cdef inline uint32_t word(const unsigned char* p, size_t n) noexcept nogil:
    """Up to four bytes, little-endian; those that are missing are zero."""
    cdef uint32_t value = 0
    cdef size_t i
    for i in range(n if n < 4 else 4):
        value |= <uint32_t>p[i] << (8 * i)
    return value


cdef uint32_t murmur(const unsigned char* key, size_t n) noexcept nogil:
    """MurmurHash2, seeded with the length."""
    cdef uint32_t m = 0x5BD1E995u
    cdef uint32_t h = (0xDEADBEEFu * <uint32_t>n) ^ <uint32_t>n
    cdef uint32_t k
    while n >= 4:
        k = word(key, 4) * m
        k ^= k >> 24
        k *= m
        h = (h * m) ^ k
        key += 4
        n -= 4
    if n:
        h = (h ^ word(key, n)) * m
    h ^= h >> 13
    h *= m
    h ^= h >> 15
    return h


cdef uint32_t jenkins(const unsigned char* key, size_t n) noexcept nogil:
    """lookup3 with an initial value of 13."""
    cdef uint32_t a = 0xDEADBEEFu + <uint32_t>n + 13
    cdef uint32_t b = a
    cdef uint32_t c = a
    while n > 12:
        a += word(key, 4)
        b += word(key + 4, 4)
        c += word(key + 8, 4)
        a -= c; a ^= rotate(c, 4); c += b
        b -= a; b ^= rotate(a, 6); a += c
        c -= b; c ^= rotate(b, 8); b += a
        a -= c; a ^= rotate(c, 16); c += b
        b -= a; b ^= rotate(a, 19); a += c
        c -= b; c ^= rotate(b, 4); b += a
        key += 12
        n -= 12
    if n == 0:
        return c
    a += word(key, n)
    if n > 4:
        b += word(key + 4, n - 4)
    if n > 8:
        c += word(key + 8, n - 8)
    c ^= b; c -= rotate(b, 14)
    a ^= c; a -= rotate(c, 11)
    b ^= a; b -= rotate(a, 25)
    c ^= b; c -= rotate(b, 16)
    a ^= c; a -= rotate(c, 4)
    b ^= a; b -= rotate(a, 14)
    c ^= b; c -= rotate(b, 24)
    return c


cdef void md5_block(uint32_t* state, const unsigned char* block) noexcept nogil:
    cdef uint32_t a = state[0], b = state[1], c = state[2], d = state[3], f
    cdef uint32_t words[16]
    cdef int i, g
    for i in range(16):
        words[i] = word(block + 4 * i, 4)
    for i in range(64):
        if i < 16:
            f = (b & c) | (~b & d)
            g = i
        elif i < 32:
            f = (d & b) | (~d & c)
            g = (5 * i + 1) & 15
        elif i < 48:
            f = b ^ c ^ d
            g = (3 * i + 5) & 15
        else:
            f = c ^ (b | ~d)
            g = (7 * i) & 15
        f += a + MD5_SINES[i] + words[g]
        a = d
        d = c
        c = b
        b += rotate(f, MD5_SHIFTS[(i >> 4) * 4 + (i & 3)])
    state[0] += a
    state[1] += b
    state[2] += c
    state[3] += d


cdef void md5(const unsigned char* text, size_t n, unsigned char* digest) noexcept nogil:
    cdef uint32_t state[4]
    cdef unsigned char tail[128]
    cdef uint64_t bits = <uint64_t>n * 8
    cdef size_t rest = n & 63
    cdef size_t padded = 64 if rest < 56 else 128
    cdef size_t at = 0
    cdef int i
    state[0] = 0x67452301u
    state[1] = 0xEFCDAB89u
    state[2] = 0x98BADCFEu
    state[3] = 0x10325476u
    while n - at >= 64:
        md5_block(state, text + at)
        at += 64
    memset(tail, 0, sizeof(tail))
    memcpy(tail, text + at, rest)
    tail[rest] = 0x80
    for i in range(8):
        tail[padded - 8 + i] = <unsigned char>(bits >> (8 * i))
    md5_block(state, tail)
    if padded == 128:
        md5_block(state, tail + 64)
    for i in range(16):
        digest[i] = <unsigned char>(state[i >> 2] >> (8 * (i & 3)))


cdef uint32_t md5_hash(const unsigned char* key, size_t n) noexcept nogil:
    cdef unsigned char digest[16]
    md5(key, n, digest)
    return word(digest, 4)


NAMES = (
    "one_at_a_time", "md5", "crc16", "crc32", "crc32a", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32",
    "hsieh", "murmur", "jenkins")


cdef key_hash_t hash_named(str name) noexcept:
    if name == "one_at_a_time": return one_at_a_time
    if name == "md5": return md5_hash
    if name == "crc16": return crc16
    if name == "crc32": return crc32
    if name == "crc32a": return crc32a
    if name == "fnv1_64": return fnv1_64
    if name == "fnv1a_64": return fnv1a_64
    if name == "fnv1_32": return fnv1_32
    if name == "fnv1a_32": return fnv1a_32
    if name == "hsieh": return hsieh
    if name == "murmur": return murmur
    if name == "jenkins": return jenkins
    return NULL


def hash_of(str name, bytes key):
    """Return the hash of a key, 32 bits."""
    cdef key_hash_t function = hash_named(name)
    if function == NULL:
        raise ValueError(f"no such hash: {name}")
    return function(<const unsigned char*><const char*>key, len(key))


def md5_of(bytes text):
    """Return the MD5 digest of a text."""
    cdef unsigned char digest[16]
    md5(<const unsigned char*><const char*>text, len(text), digest)
    return digest[:16]
