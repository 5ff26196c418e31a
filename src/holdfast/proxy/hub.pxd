# Subscriptions: one connection to each server, for the clients of all.

from holdfast.engine.state cimport Engine

# Hand a message, as it came from a server, to those who listen; how many got it.
cdef int fan_out(Engine e, dict table, bytes name, bytes frame) except -1
