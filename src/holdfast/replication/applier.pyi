"""Applying a primary's stream: the hot end of `upstream`, compiled."""

from typing import Protocol

from holdfast.engine.state import Session
from holdfast.replication.ports import Node
from holdfast.replication.stream import Stream
from holdfast.server.poller import Taker

class Owner(Protocol):
    """Who is told of what is rare (`upstream`)."""

    def stream_is_broken(self, error: str) -> None:
        """End the link: what comes over it is no stream."""
    def record_in_stream(self, text: bytes) -> None:
        """Note a set record."""
    def applied(self) -> None:
        """Note that the copy reaches further; called while `is_awaited`."""

class Applier(Taker):
    """The stream from one node's primary."""

    database: int
    """That the stream has selected at the end of its last whole unit."""
    is_bound: bool
    """A member set counts on this copy: each piece is acknowledged at once."""
    is_awaited: bool
    """Somebody waits for the copy to reach a place."""
    acknowledges: bool
    """The end of this tick says how far this copy reaches: somebody may wait for it."""

    def __init__(self, node: Node, stream: Stream, owner: Owner) -> None: ...
    @property
    def session(self) -> Session | None:
        """Executes the stream; None: none flows."""
    @property
    def heard_at_ms(self) -> int | None:
        """When the primary was last heard, None if it never was."""
    def heard(self, count: int) -> None:
        """Note that the primary lives, and has sent so many bytes."""
    def begin(self, session: Session, is_bound: bool) -> None:
        """Apply from now on, as this session."""
    def end(self) -> None:
        """Apply no more; what is not whole is forgotten."""
    def receive(self, chunk: bytes) -> None:
        """Take a piece of the stream; `heard` was told of it."""
    @property
    def rest_bytes(self) -> int:
        """How much waits of a request that is not whole."""
    @property
    def unit(self) -> bytes:
        """What was executed of a MULTI whose EXEC is to come."""
