"""What a node counts in each tick: the fields of `traffic` that compiled code adds to.

What it is: numbers. What it is not: their meaning; `traffic` samples them and INFO tells them.
"""


cdef class Counters:
    """Bytes of replication and ticks since the start, or since CONFIG RESETSTAT."""
