# Union, intersection and difference of sorted sets. The index is `register` in zset_algebra.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
