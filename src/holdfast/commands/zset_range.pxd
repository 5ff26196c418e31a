# Ranges of sorted sets, by rank, by score, by name. The index is `register` in zset_range.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
