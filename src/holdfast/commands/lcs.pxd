# LCS. The index is `register` in lcs.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
