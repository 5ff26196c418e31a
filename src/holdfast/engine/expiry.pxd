# The end of keys whose time is over: what is told of it, and the cycle that looks for them.

from libc.stdint cimport int64_t
from holdfast.engine.state cimport Engine

# Let an engine hear from its keyspace of expired, missed and new keys.
cdef int install_expiry(Engine e) except -1
# Look for expired keys and delete them, for at most so long; how many were deleted.
cpdef int64_t expire_cycle(Engine e, int64_t limit_us) except -1
# The short cycle before the node waits for events: only when there is much to do.
cpdef int64_t expire_fast(Engine e) except -1
