# The world of an engine's scripts: one state of Lua, the scripts it knows, and what the one that runs says of
# itself.

from libc.stdint cimport int64_t, uint32_t, uint64_t
from holdfast.commands.scripting_lua cimport Function, State
from holdfast.engine.buf cimport Buf, Slice
from holdfast.engine.state cimport Engine, Session

cdef enum ScriptFlag:
    SCRIPT_NO_WRITES = 1 << 0
    SCRIPT_ALLOW_OOM = 1 << 1
    SCRIPT_ALLOW_STALE = 1 << 2
    SCRIPT_NO_CLUSTER = 1 << 3
    SCRIPT_CROSS_SLOT = 1 << 4
    SCRIPT_COMPAT = 1 << 5      # no shebang line: the rules of old

cdef enum:
    HANDLER = 1                 # places on the main stack
    REAL_GLOBALS = 2
    NAME_KEYS = 3
    NAME_ARGV = 4
    BASE = 4

cdef class Script:
    cdef readonly bytes sha
    cdef readonly bytes body
    cdef int function           # reference in Lua's registry
    cdef uint32_t flags

cdef class World:
    cdef Engine engine
    cdef State* L
    cdef Session session        # the one that scripts call through
    cdef dict by_body, by_sha   # bytes -> Script
    cdef int runs               # since the collector was last asked to go on
    cdef uint64_t luck          # math.random: 48 bits
    # arguments of the call under way
    cdef Slice* argv
    cdef int argv_cap
    cdef Buf digits             # numbers as text
    # the run under way
    cdef readonly Script running
    cdef Session caller
    cdef bint read_only, allow_oom, out_of_memory
    cdef readonly bint wrote    # it called a command that writes
    cdef int replicate          # as redis.set_repl said
    cdef int slot               # cluster mode: of the keys so far, -1: none
    cdef int64_t started_us, pumped_us
    cdef readonly bint busy     # it runs longer than busy-reply-threshold
    cdef public bint killed
    # Declare a function that works for this world in the table on top; or a number.
    cdef void method(self, const char* name, Function function) noexcept
    cdef void constant(self, const char* name, double value) noexcept
    cdef Script compile(self, Session s, bytes body)
