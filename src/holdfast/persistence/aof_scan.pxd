# Framing of append-only files: where whole commands and transactions end.

cdef class Scan:
    cdef readonly Py_ssize_t safe          # after the last whole command outside of, or whole, MULTI ... EXEC
    cdef readonly Py_ssize_t commands      # commands before `safe` (MULTI and EXEC count)
    cdef readonly Py_ssize_t last          # start of the command or line where scanning stopped
    cdef readonly Py_ssize_t at            # the byte that stopped it
    cdef readonly Py_ssize_t wanted        # END_INSIDE: buffer length that is needed at least to go on
    cdef readonly Py_ssize_t annotations   # annotation lines before `safe`
    cdef readonly Py_ssize_t held          # commands read after `safe` (an open MULTI)
    cdef readonly int stop                 # one of the STOP_ values
    cdef readonly int fault                # one of the FAULT_ values, when stop is MALFORMED
    cdef readonly bint multi               # a MULTI is open

# Walks whole commands from `start`; stops after `most` of them, or before a #TS: later than `latest`.
cpdef Scan scan(const unsigned char[::1] buffer, Py_ssize_t start=*, Py_ssize_t most=*, long long latest=*)
# The first `end` bytes without their annotation lines.
cpdef bytes without_annotations(const unsigned char[::1] buffer, Py_ssize_t end)
# The last lines that say where in a replication stream the data stand.
cpdef tuple last_marks(const unsigned char[::1] buffer, Py_ssize_t end)
