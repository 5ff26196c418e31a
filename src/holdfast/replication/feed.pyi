"""The stream's way through a node: into the backlog, and from there to every replica."""

from holdfast.engine.effects import EffectSink
from holdfast.replication.backlog import Backlog, Reader
from holdfast.replication.ports import Connection, Node
from holdfast.replication.remote_replica import RemoteReplica
from holdfast.server.counters import Counters

class ReplicaFeed:
    """One replica: a place in the stream and the connection that it is sent on."""

    backlog: Backlog | None
    reader: Reader | None
    """None: it needs nothing of the stream."""
    is_online: bool
    """The stream flows to it."""
    is_gone: bool

    def __init__(self, connection: Connection, counters: Counters, *more: object) -> None: ...
    @property
    def connection(self) -> Connection:
        """The client's connection that became a replica's."""
    def pump(self) -> None:
        """Send of the stream what the transport takes."""

class StreamFeed(EffectSink):
    """The stream of one node, fed by its own effects or by its primary."""

    is_forwarding: bool
    """The bytes are a primary's; what this node makes goes to its own files only."""
    forwarded: int
    """Where the stream ends while it is."""
    backlog: Backlog | None
    """None: nobody is fed."""
    replicas: list[RemoteReplica]

    def __init__(self, node: Node, *more: object) -> None: ...
    @property
    def offset(self) -> int:
        """The last byte that the stream has; effects of the running tick come later."""
    @property
    def has_unsent(self) -> bool:
        """Whether anything came in since the last `send`."""
    def send(self) -> None:
        """Let replicas have what came in since the last call."""
