# The bytes of the cluster bus.

cdef class Reader:
    cdef list pieces                    # of a message that is not yet whole
    cdef Py_ssize_t held                # bytes in them
    cdef Py_ssize_t wanted              # bytes that are needed to go on
    cdef readonly Py_ssize_t passed_over    # whole messages that could not be used
    cdef bytes last_bitmap              # the set of slots that was told last
    cdef object last_slots
    cdef object decode(self, const char* p, Py_ssize_t length)
    cdef object slots_at(self, const char* p)
