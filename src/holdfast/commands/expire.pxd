# Commands on the time to live of keys.

from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
