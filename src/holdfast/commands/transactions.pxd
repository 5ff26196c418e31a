# Transactions. The index of the family is `register` in transactions.pyx.
from holdfast.engine.state cimport Engine, Session

cpdef int register(Engine e) except -1
# Forget the queue and leave MULTI; watched keys are forgotten too.
cpdef int discard_transaction(Session s) except -1
