# Replication's part of each tick.

from holdfast.engine.state cimport Engine
from holdfast.replication.applier cimport Applier
from holdfast.replication.feed cimport StreamFeed

cdef class ReplicationTick:
    cdef Engine engine
    cdef StreamFeed stream
    cdef Applier applier
    cdef object gate, upstream, waiting     # acted on where there is work for them
    # Before the effects are handed out: add to the stream what asks for acknowledgements.
    cdef int before_effects(self) except -1
    # After that, before replies leave: feed replicas, settle what is held, acknowledge.
    cdef int after_effects(self) except -1
