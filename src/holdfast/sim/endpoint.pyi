"""One end of a connection: the asyncio transport and the socket below it."""

import asyncio
from contextvars import Context

from holdfast.sim.flow import Flow, Socket
from holdfast.sim.life import Life
from holdfast.sim.listener import Listener
from holdfast.sim.network import Network

class Endpoint(Socket, asyncio.Transport):
    """One end of a connection; a transport in all but its base class."""

    life: Life
    listener: Listener | None
    into: Flow
    held_bytes: int

    def __init__(
        self,
        network: Network,
        life: Life,
        context: Context,
        sockname: tuple[str, int],
        peername: tuple[str, int],
    ) -> None:
        """Make an end that belongs to `life`; `join` and `attach` complete it."""

    def join(self, *, out: Flow, into: Flow) -> None:
        """Set the two directions."""

    def attach(self, protocol: asyncio.BaseProtocol) -> None:
        """Give the transport its protocol and tell it so."""

    @property
    def ends_later(self) -> bool:
        """Whether the program ended its side while it was blocked, and the peer is still to be told."""

    def fail(self, error: BaseException | None) -> None:
        """Close at once; what is held is thrown away."""

    def shut_socket(self) -> None:
        """Close the socket as the kernel does when the process lets go of it."""

    def vanish(self) -> None:
        """Lose power: what is on the wire still arrives, nothing else is ever said."""

    def send_reset(self) -> None:
        """Answer bytes that came for a socket that is not there."""

    def reset(self) -> None:
        """Take a reset from the peer; the program notices after it has read what came before."""
