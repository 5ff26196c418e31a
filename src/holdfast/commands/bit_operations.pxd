# BITOP. The index is `register` in bit_operations.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
