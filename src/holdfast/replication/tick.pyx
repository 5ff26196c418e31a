"""Replication's part of each tick: a look at what there is to do, compiled.

What this is: the order of replication's work in a tick, and the questions whether there is any. What
this is not: the work; each part does its own.

How to read it: the node's tick calls `before_effects`, hands the effects out, calls `after_effects`;
then the replies leave.
"""


cdef class ReplicationTick:
    """What replication does in each tick of its node."""

    def __cinit__(self, node, stream, gate, upstream, waiting):
        self.engine = node.engine
        self.stream = stream
        self.gate = gate
        self.upstream = upstream
        self.applier = upstream.applier
        self.waiting = waiting

    cdef int before_effects(self) except -1:
        if self.stream.is_forwarding:
            return 0
        if self.waiting.wants_acknowledgement:
            self.waiting.ask()
        if self.engine.gate_reads == 2:
            self.gate.probe()
        return 0

    cdef int after_effects(self) except -1:
        if self.stream.has_unsent:
            self.stream.send_all()
        if self.engine.gated:
            self.gate.settle()
        if self.applier.acknowledges:
            self.upstream.acknowledge()
        if self.waiting.waiters:
            self.waiting.look()
        return 0
