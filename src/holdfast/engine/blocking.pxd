# Sessions that wait: for keys (BLPOP ...), for acknowledgements (WAIT), for the end of a pause.

from libc.stdint cimport int64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.keyspace cimport Database
from holdfast.engine.state cimport Call, Engine, Session

# Read a timeout in seconds ("0": for ever). False: answered with an error.
cdef bint read_timeout(Session s, Slice text, int64_t* until_ms) noexcept
# Park the session until one of the keys may serve it; then the same call runs
# again with S_RETRY. On timeout the reply is a null array. Inside MULTI or a
# script nothing is parked and the reply is null_reply (0 null array, 1 null).
cdef int park_for_keys(Session s, Call* c, Slice* keys, int count, int64_t until_ms, int null_reply) except -1
# Park for another reason: on timeout `on_timeout(session)` writes the reply.
cdef int park(Session s, object reason, int64_t until_ms, object on_timeout) except -1
# End a park: the session may execute again.
cdef int unpark(Session s) except -1
# A key got something that a parked session may want.
cdef void signal_ready(Engine e, Database* db, Slice key) noexcept
cdef int serve_ready(Engine e) except -1
# Park a request as it is; `resume_paused` runs it, as if it had just arrived.
cdef int park_request(Session s, Call* c, object reason) except -1
cdef int run_paused(Session s) except -1
# CLIENT PAUSE: park the call if it has to wait. True: parked.
cdef bint park_for_pause(Session s, Call* c, bint writes) except? False
