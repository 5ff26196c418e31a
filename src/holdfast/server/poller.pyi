"""Reading and writing without the loop's help: one epoll set for all connections of a node."""

import asyncio
from collections.abc import Callable
from typing import Any

from holdfast.engine.pulse import Pulse
from holdfast.server.host import Clock

class Polled:
    """A connection that is read by the poller, where there is one, else by its transport."""

    transport: Any

    def adopt(self) -> None:
        """Let the poller read from now on."""

class Taker:
    """Who takes the bytes of a connection from a `PolledProtocol`, without a Python object for them."""

class PolledProtocol(Polled):
    """The socket of a protocol in Python: what arrives comes to its `data_received`, or to `taker`."""

    taker: Taker | None

    def __init__(
        self, protocol: asyncio.Protocol, transport: asyncio.BaseTransport, poller: Poller | None = None
    ) -> None: ...
    def write(self, chunk: bytes | memoryview) -> None:
        """Write what the socket takes now; the rest waits in the transport."""
    def pause_reading(self) -> None:
        """Leave what arrives in the socket."""
    def resume_reading(self) -> None:
        """Read again."""
    def pause_writing(self) -> None:
        """The transport holds enough."""
    def resume_writing(self) -> None:
        """The transport has room."""
    def abort(self) -> None:
        """Close now; the protocol's `connection_lost` follows."""

class Poller:
    """The epoll set of one node."""

    in_round: bool
    patience_us: int

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        over: Callable[[], None] | Pulse,
        on_fault: Callable[[Any, BaseException], None],
        clock: Clock | None = None,
    ) -> None: ...
    def close(self) -> None:
        """Give the set back."""
    def ready(self) -> None:
        """Read from every connection that has bytes."""

def trust_after(trust: int, soon: bool) -> int:
    """Return the trust that the next bytes come at once, after they did or did not."""

def descriptor_of(transport: Any) -> int:
    """Return the descriptor of a transport's socket, -1 where it has none (a simulated one)."""
