# Set commands on one key. The index of the family is `register` in sets.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
