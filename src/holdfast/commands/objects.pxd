# OBJECT: how a value is held, and how long ago it was used.

from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
