# Connection commands. The index of the family is `register` in connection.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
