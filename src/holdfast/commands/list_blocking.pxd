# List commands that wait. The index of the family is `register` in list_blocking.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
