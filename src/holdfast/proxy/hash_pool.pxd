# The pool of nutcracker.yml: servers shared out by a hash of the key.

from libc.stdint cimport int64_t, uint64_t
from holdfast.proxy.distribution cimport Distribution
from holdfast.proxy.key_hashes cimport key_hash_t
from holdfast.proxy.shapes cimport Pool

cdef class HashPool(Pool):
    cdef readonly Distribution distribution
    cdef key_hash_t hash_key
    cdef bytes tag                  # two characters, or empty
    cdef list servers               # (name, weight) in the order of the shards
    cdef bint ejects                # auto_eject_hosts
    cdef int retry_ms, failure_limit
    cdef object revival             # timer
    cdef list retry_at              # of each server that was ejected: when it comes back (s on the loop's clock)
