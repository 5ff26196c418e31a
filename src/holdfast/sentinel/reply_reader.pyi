"""Replies of the protocol, read from bytes as they come (RESP2), and commands as bytes."""

from collections.abc import Sequence

class ReplyStatus(str):
    """A status, such as PONG."""

class ReplyError(str):
    """An error, its code first."""

Reply = ReplyStatus | ReplyError | str | int | None | Sequence[Reply]
"""What a reply can be."""

class BrokenReply(ValueError):
    """The bytes are no reply."""

class ReplyReader:
    """Holds the bytes that are not yet a whole reply."""

    def __init__(self) -> None:
        """Begin with nothing."""

    def feed(self, piece: bytes) -> list[Reply]:
        """Return the replies that are complete now. Raises BrokenReply."""

def encode_command(words: Sequence[str]) -> bytes:
    """Return a command as bytes."""
