# Replication's part of each tick.

from holdfast.engine.state cimport Engine
from holdfast.replication.applier cimport Applier
from holdfast.replication.feed cimport StreamFeed

# What `waiting` lets each tick see.
cdef class Waits:
    cdef public bint wants_acknowledgement  # replicas are to be asked at the end of this tick
    cdef public list waiters                # the sessions that wait for acknowledgements

cdef class ReplicationTick:
    cdef Engine engine
    cdef StreamFeed stream
    cdef Applier applier
    cdef Waits waiting
    cdef object gate, upstream              # acted on where there is work for them
    # Before the effects are handed out: add to the stream what asks for acknowledgements.
    cdef int before_effects(self) except -1
    # After that, before replies leave: feed replicas, settle what is held, acknowledge.
    cdef int after_effects(self) except -1
