# Union, intersection and difference of sets. The index is `register` in set_algebra.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
