# BITFIELD. The index is `register` in bitfield.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
