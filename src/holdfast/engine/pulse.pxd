# Ticks opened and ended from compiled code.

from holdfast.engine.state cimport Engine

cdef class Pulse:
    cdef int open_tick(self) except -1
    # All that had sent something has been read. False: work is left for the loop's next turn.
    cdef bint round_over(self) except -1


cdef inline int begin_tick(Engine e) except -1:
    """Call `Engine.open_tick`, without Python between where it is a pulse."""
    if isinstance(e.open_tick, Pulse):
        (<Pulse>e.open_tick).open_tick()
    else:
        e.open_tick()
    return 0
