# Transactions: gathered here, answered with QUEUED, and sent whole at EXEC.

from holdfast.engine.state cimport Call
from holdfast.proxy.shapes cimport Client, Verb

# MULTI, EXEC, DISCARD, WATCH, UNWATCH (kind: VerbKind). 0: not yet, the client waits until it is idle.
cdef int transaction(Client client, Call* c, int kind) except -1
# A command inside MULTI: it is kept if its keys share the shard of the others.
cdef int gather(Client client, Call* c, Verb* verb) except -1
