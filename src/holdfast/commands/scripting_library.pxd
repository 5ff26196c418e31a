# What scripts find in `redis`.
from holdfast.commands.scripting_world cimport World

cdef enum:
    REPLICATE_ALL = 3           # redis.set_repl: AOF 1, replicas 2

# Put the library into the real globals of a world.
cdef int open_redis(World w) except -1
