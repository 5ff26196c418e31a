"""Replication's part of each tick: a look at what there is to do, compiled."""

from holdfast.replication.ports import Node
from holdfast.replication.reply_gate import ReplyGate
from holdfast.replication.stream import Stream
from holdfast.replication.upstream import Upstream
from holdfast.replication.waiting import Waiting

class ReplicationTick:
    """What replication does in each tick of its node."""

    def __init__(
        self, node: Node, stream: Stream, gate: ReplyGate, upstream: Upstream, waiting: Waiting
    ) -> None: ...
