# SORT and SORT_RO.

from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
