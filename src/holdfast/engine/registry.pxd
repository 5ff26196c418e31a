# The command table of an engine: names to commands.

from libc.stdint cimport uint64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.state cimport Command, Engine, handler_t

# Declare a command; `spec` is a holdfast.commands.spec.Spec.
cdef int command(Engine e, handler_t handler, object spec) except -1
cdef Command* find_command(Engine e, const char* name, size_t n) noexcept nogil
# The sub-command of a container ("config", "get"), NULL when there is none.
cdef Command* find_subcommand(Engine e, Command* container, const char* name, size_t n) noexcept nogil
