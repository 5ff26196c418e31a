# Replies become Lua values, and Lua values replies.
from holdfast.commands.scripting_lua cimport State
from holdfast.engine.state cimport Session

# Push the reply at `p` as a Lua value; returns where it ends.
cdef const char* push_reply(State* L, const char* p) noexcept
# Push {err = text}, as redis.pcall returns errors (`text` begins with its code); counted: known to the
# statistics.
cdef void push_error(State* L, const char* p, size_t n, bint counted) noexcept
# Reply to `s` with the value on top of the stack, and pop it; `resp`: as redis.setresp said.
cdef int reply_from_lua(Session s, State* L, int resp) except -1
# Write an error line as it stands, newlines as spaces; counted: not again.
cdef int reply_error_line(Session s, bytes text, bint counted) except -1
