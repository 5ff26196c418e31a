# redis.call and redis.pcall.
from holdfast.commands.scripting_lua cimport State
from holdfast.commands.scripting_world cimport World
from holdfast.engine.state cimport Command

cdef int api_call(State* L) noexcept
cdef int api_pcall(State* L) noexcept
# Fill w.argv from Lua's stack; the number of arguments, or 0: an error was pushed.
cdef int take_arguments(World w, State* L) except -1
# The command that the first of so many arguments in w.argv names; NULL: there is none.
cdef Command* command_of(World w, int argc) noexcept
