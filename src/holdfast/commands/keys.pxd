# Commands on keys whatever they hold.

from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
