# Sessions seen from outside: what CLIENT, RESET, MONITOR and the connection's end need.

from holdfast.engine.state cimport Session

# Forget what the engine's tables know of the session: subscriptions, watched keys, MONITOR.
cdef int release_session(Session s) except -1
