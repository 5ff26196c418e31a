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

# What became of a piece of a primary's stream: bytes executed, those of them before an open MULTI, and
# how many bytes the request cut off by the end needs at least (0: not known).
cdef struct Applied:
    size_t taken
    size_t settled
    size_t needed

# Execute the complete requests of a primary's stream; the set records among them, None where there is none.
# ValueError on what is no stream.
cdef list apply_requests(Session s, const char* p, size_t n, Applied* applied)

# Execute the requests in [p, p + n) while another call is under way (EXEC, retries).
cdef int run_nested(Session s, const char* p, size_t n) except -1
