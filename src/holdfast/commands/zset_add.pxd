# Adding to sorted sets and removing from them. The index is `register` in zset_add.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
