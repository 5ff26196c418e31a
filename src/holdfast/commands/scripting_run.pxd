# Running scripts.
from holdfast.commands.scripting_world cimport Script, World
from holdfast.engine.buf cimport Slice
from holdfast.engine.state cimport Engine, Session

# The engine's world, made at first use.
cdef World world_of(Engine e)
# Run a script whose rules have been checked, and reply.
cdef int run_script(
    World w, Session s, Script script, Slice* keys, int key_count, Slice* args, int arg_count) except -1
# Forget all scripts and begin with a new state (SCRIPT FLUSH).
cdef int forget_scripts(World w) except -1
