"""The connection: one client's socket and its session."""

import asyncio
from typing import Any

from holdfast.engine.state import Engine, Session
from holdfast.server.poller import Poller

class Connection(asyncio.BufferedProtocol):
    """One client: an `asyncio.BufferedProtocol` around a `Session`."""

    session: Session
    transport: Any

    def __init__(
        self, node: object, engine: Engine, read_buffer: bytearray, poller: Poller | None = None
    ) -> None: ...
    def stand_in(self, transport: Any) -> None:
        """Take what writes for a client that the loop has not announced yet."""
    def flush(self) -> None:
        """Hand the waiting replies to the transport; go on with requests that had to wait."""
    def abort(self) -> None:
        """Close now; what waits is dropped."""
    def finish(self) -> None:
        """Close for us, while the other end still gets what was sent to it."""
    def send(self, chunk: bytes | memoryview) -> None:
        """Write past the session: the stream of a replica."""
    def keep_more(self, high: int) -> None:
        """Let the transport hold up to this before it says that it is full."""
    def refuse(self, message: bytes) -> None:
        """Say why the client may not stay, and close."""
    def serve_directly(self, descriptor: int, arrived: bool = True) -> bool:
        """Read and answer beside the loop, which a script holds; False: the client is gone or must wait."""
    @property
    def is_closed(self) -> bool:
        """Whether the connection has ended."""
    @property
    def is_full(self) -> bool:
        """Whether the transport holds more than its high mark."""
    @property
    def write_buffer_bytes(self) -> int:
        """Reply bytes that the transport holds."""

def flush_pending(engine: Engine) -> None:
    """Hand out the replies of every session that has some (the end of a tick)."""

def serve_waiting(engine: Engine) -> None:
    """Execute what sessions had to leave waiting in their input."""
