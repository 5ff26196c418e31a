# What scripts find as globals, and what keeps them from changing it.
from holdfast.commands.scripting_lua cimport State

# Open Lua's libraries and those that Redis adds; the real globals stay on the stack.
cdef void open_libraries(State* L) noexcept
# Close the globals at `index` to scripts: from now on they see read-only views.
cdef void seal(State* L, int index) noexcept
