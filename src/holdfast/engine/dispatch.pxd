# Execution of one request: look up, admit, call, account, propagate.

from holdfast.engine.state cimport Call, Command, Engine, Session

cdef int execute(Session s, Call* c) except -1
# Only the last part: the command is known and admitted (EXEC and scripts begin here).
cdef int call_command(Session s, Call* c) except -1
# The command of a call, its arity checked; NULL: answered with an error.
cdef Command* look_up(Session s, Call* c) except? NULL
# Answer a request that may not run; marks a transaction as broken.
cdef void reject(Session s, Call* c, const char* text) noexcept
# Serve sessions that wait for keys that just changed, then those unblocked.
cdef int serve(Engine e) except -1
# Forget the queue and leave MULTI; watched keys are forgotten too.
cdef int discard_transaction(Session s) except -1
