# Options that several commands share, parsed once.

from libc.stdint cimport int64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.state cimport Call, Session

cdef enum ExpireUnit:       # bits; 0: EX
    MILLISECONDS = 1
    ABSOLUTE = 2

cdef struct ExpireOption:   # EX, PX, EXAT, PXAT
    bint given
    int64_t at_ms           # absolute

cdef struct SetOptions:
    ExpireOption expire
    int unit                # ExpireUnit of the expiry
    bint keep_ttl
    bint persist            # GETEX
    bint nx
    bint xx
    bint get

# True when argv[i] is this word, letter case aside; `word` in lower case.
cdef bint arg_is(Slice arg, const char* word) noexcept nogil
# Options of SET from argv[first] on. False: answered with an error.
cdef bint parse_set_options(Session s, Call* c, int first, SetOptions* o) noexcept
# Options of GETEX; *value_at is where the expiry's value stands (0: none), to be read once the key is found.
cdef bint parse_getex_options(Session s, Call* c, int first, SetOptions* o, int* value_at) noexcept
# The value of EX, PX, EXAT or PXAT; False: answered with an error.
cdef bint read_expire(Session s, Call* c, Slice arg, int unit, ExpireOption* out) noexcept
# An integer argument; False: answered with "value is not an integer or out of range".
cdef bint arg_int(Session s, Slice arg, int64_t* out) noexcept
