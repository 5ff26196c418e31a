# Parts of strings: APPEND, STRLEN, GETRANGE, SETRANGE. The index is `register` in string_ranges.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
