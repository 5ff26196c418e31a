# Distinct random entries of a table, for SRANDMEMBER, HRANDFIELD and ZRANDMEMBER.

from libc.stdint cimport uint64_t
from holdfast.engine.table cimport Table

# Write `count` distinct entries, each as likely as any other, to `out`;
# count <= table_count(t).
cdef void table_draw(Table* t, void** out, size_t count, uint64_t* rng) noexcept nogil
# Walking `left` things of which `wanted` are to be taken: take this one?
cdef bint take_next(size_t wanted, size_t left, uint64_t* rng) noexcept nogil
