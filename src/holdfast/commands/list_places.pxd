# List commands inside a list. The index of the family is `register` in list_places.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
