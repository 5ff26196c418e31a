# Questions about members of sorted sets. The index is `register` in zset_read.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
