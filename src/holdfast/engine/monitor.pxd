# MONITOR: every executed request, to whoever watches.

from holdfast.engine.state cimport Call, Session

cdef int feed_monitors(Session s, Call* c) except -1
