# The `bit` library of scripts.
from holdfast.commands.scripting_lua cimport State

# Push the library's table.
cdef void open_bits(State* L) noexcept
