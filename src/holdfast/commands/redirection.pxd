# ASKING, READONLY, READWRITE. The index of the family is `register` in redirection.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
