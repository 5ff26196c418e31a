# Errors of scripts: how they are raised, and what becomes of them.
from holdfast.commands.scripting_lua cimport State
from holdfast.commands.scripting_world cimport Script
from holdfast.engine.state cimport Session

# Raise {err = text}; never returns (its type lets a function of Lua end with it).
cdef int raise_error(State* L, const char* text) noexcept
# Turn whatever was raised into {err, source, line} (the handler of every script).
cdef int handle_error(State* L) noexcept
# Reply with the error on top of the stack.
cdef int reply_failure(Session s, State* L, Script script) except -1
