"""The bytes of the cluster bus: signature RCmb, version 1, as Redis 7.0 and 7.2 write them."""

from holdfast.cluster.messages import Message

HEADER_BYTES: int

class BrokenBus(ValueError):
    """These bytes are not of this bus."""

class Reader:
    """Cuts a stream into messages."""

    passed_over: int
    """Whole messages that could not be used."""

    def __init__(self) -> None:
        """Begin with nothing."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes of a message that is not yet whole."""

    def feed(self, chunk: bytes) -> list[Message]:
        """Return the messages that are whole now. Raises `BrokenBus`."""

def encode(message: Message) -> bytes:
    """Return the bytes of a message."""
