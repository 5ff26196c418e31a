"""One direction of a connection: bytes between two kernels."""

from holdfast.sim.course import Happening
from holdfast.sim.network import Interface, Network

OPEN: str
FIN: str
RESET: str

class Link:
    """One direction between two hosts. Fields may be changed at any time."""

    latency: float
    jitter: float
    loss: float
    """Likelihood that a packet has to be sent twice."""
    bytes_per_second: float
    """Bandwidth, shared by all connections; 0 is unlimited."""
    cut: bool
    breaks_in_bytes: int | None
    """The connection that carries this byte from now is reset behind it."""
    flows: dict[Flow, None]
    reverse: Link

    def __init__(self, latency: float, jitter: float) -> None:
        """Make an open link with `latency` and up to `jitter` more, in seconds."""

class Socket:
    """An end of a connection, as its two directions see it."""

    interface: Interface
    closed: bool
    gone: bool

class Flow(Happening):
    """One direction of a connection."""

    link: Link

    def __init__(self, network: Network, link: Link, source: Socket, sink: Socket) -> None:
        """Open a direction over `link`."""

    def send_mark(self, mark: str) -> None:
        """Send OPEN or FIN."""

    def acknowledge(self) -> None:
        """Let acknowledgements through that were lost so far."""

    def path_opened(self) -> None:
        """Repeat what was lost, at the moment at which the sender's kernel tries again."""

    def reset_sink(self) -> None:
        """Send a reset: nothing of it is repeated if it is lost."""

    def inject_reset(self) -> None:
        """Let a reset come from the middle of the way; if a cut loses it, the connection lives on whole."""

    def retire(self) -> None:
        """Forget the direction: nothing will come through it any more."""

def next_retransmission(first_lost: float, now: float) -> float:
    """Return when a sender whose first packet was lost at `first_lost` tries next, at or after `now`."""
