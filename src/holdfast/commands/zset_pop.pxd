# Taking the lowest or highest members, waiting for them if need be. The index is `register` in zset_pop.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
