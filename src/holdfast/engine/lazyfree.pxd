# Lazy freeing: values that left the keyspace are freed in slices.

from holdfast.engine.keyspace cimport Keyspace

# Free up to about `allocations` blocks of what waits. True: more is waiting.
cdef bint lazy_step(Keyspace* ks, int allocations) noexcept nogil
# Free all that waits, now.
cdef void lazy_finish(Keyspace* ks) noexcept nogil
