# Requests: bytes of a client cut into calls, executed in order.

from holdfast.engine.buf cimport Buf, Slice
from holdfast.engine.state cimport Call, Engine, Session

# Parse one request at `p`. 1: complete (*used bytes), 0: more is needed,
# -1: protocol error (answered).
cdef int parse_request(Session s, const char* p, size_t n, size_t* used, Call* c) except -2
# Take bytes that arrived: execute every complete request, keep the rest.
cdef int feed(Session s, const char* p, size_t n) except -1
# Execute what waits in the session's input (after a pause or a block).
cdef int proceed(Session s) except -1
cdef void encode_call(Buf* out, Slice* argv, int argc) noexcept nogil

# Execute the requests in [p, p + n) while another call is under way (EXEC, retries).
cdef int run_nested(Session s, const char* p, size_t n) except -1
