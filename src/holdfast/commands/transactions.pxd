# Transactions. The index of the family is `register` in transactions.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
