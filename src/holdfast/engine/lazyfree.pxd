# Lazy freeing: values that left the keyspace are freed in slices.

from libc.stdint cimport int64_t
from holdfast.engine.keyspace cimport Keyspace

# Whether to free a value takes so long that it should wait.
cdef bint lazy_worth(int kind, void* ptr) noexcept nogil
# Queue a value that nothing refers to any more; `objects` and `bytes` are what it counts for.
cdef void lazy_detach(Keyspace* ks, int kind, void* ptr, size_t objects, int64_t bytes) noexcept nogil
# Free up to about `allocations` blocks of what waits. True: more is waiting.
cdef bint lazy_step(Keyspace* ks, int allocations) noexcept nogil
# Free all that waits, now.
cdef void lazy_finish(Keyspace* ks) noexcept nogil
