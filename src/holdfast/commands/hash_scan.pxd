# Hash commands that draw or scan fields. The index of the family is `register` in hash_scan.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
