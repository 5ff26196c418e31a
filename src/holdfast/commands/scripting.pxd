# Scripts. The index of the family is `register` in scripting.pyx; the world of a script is `scripting_world`.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
