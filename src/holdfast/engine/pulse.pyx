"""Who opens and ends the ticks of an engine, as compiled code calls it.

What it is: an interface without a body of its own; the node's tick inherits it and is set as
`Engine.open_tick`, which may be any callable. What it is not: a tick.
"""


cdef class Pulse:
    """Opens and ends ticks. Called, it opens one."""

    cdef int open_tick(self) except -1:
        raise NotImplementedError

    cdef bint round_over(self) except -1:
        raise NotImplementedError

    def __call__(self):
        self.open_tick()
