# The `cmsgpack` library of scripts.
from holdfast.commands.scripting_lua cimport State

# Push the library's table.
cdef void open_msgpack(State* L) noexcept
