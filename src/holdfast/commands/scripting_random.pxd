# math.random and math.randomseed: the same numbers everywhere.
from holdfast.commands.scripting_world cimport World

# Put them in the place of Lua's own.
cdef void open_random(World w) noexcept
