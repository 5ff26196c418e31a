# Numbers in strings. The index is `register` in counters.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
