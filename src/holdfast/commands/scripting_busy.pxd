# A script that runs too long.
from holdfast.commands.scripting_world cimport World

# Call before a script runs: from then on it is looked at every so many instructions.
cdef void watch_run(World w) noexcept
# Call after it has run.
cdef int end_watch(World w) except -1
