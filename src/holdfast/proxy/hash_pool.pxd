# The pool of nutcracker.yml: servers shared out by a hash of the key.

from libc.stdint cimport int64_t, uint64_t
from holdfast.proxy.distribution cimport Distribution
from holdfast.proxy.key_hashes cimport key_hash_t
from holdfast.proxy.shapes cimport Pool

cdef class HashPool(Pool):
    cdef readonly Distribution distribution
    cdef key_hash_t hash_key
    cdef bint has_tag               # what stands between these two characters is hashed alone
    cdef char tag_begin, tag_end
    cdef bint is_alone              # there is one shard, which has all keys
    cdef list servers               # (name, weight) in the order of the shards
    cdef bint ejects                # auto_eject_hosts
    cdef int retry_ms, failure_limit
    cdef object revival             # timer
    cdef list retry_at              # of each ejected server: when it comes back (loop's seconds)
