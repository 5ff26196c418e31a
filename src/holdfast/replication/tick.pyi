"""Replication's part of each tick: a look at what there is to do, compiled."""

from holdfast.replication.ports import Node
from holdfast.replication.reply_gate import ReplyGate
from holdfast.replication.stream import Stream
from holdfast.replication.upstream import Upstream
from holdfast.replication.waiting import Waiter, Waiting

class Waits:
    """Whether somebody waits for acknowledgements (`waiting` inherits it)."""

    wants_acknowledgement: bool
    """Replicas are to be asked at the end of this tick."""
    waiters: list[Waiter]

    def __init__(self, *more: object) -> None: ...
    def ask(self) -> None:
        """Ask all replicas to acknowledge."""
    def look(self) -> None:
        """Free those whose replicas have acknowledged."""

class ReplicationTick:
    """What replication does in each tick of its node."""

    def __init__(
        self, node: Node, stream: Stream, gate: ReplyGate, upstream: Upstream, waiting: Waiting
    ) -> None: ...
