"""Where replies end: the scanner of RESP2 and RESP3."""

from collections.abc import Iterable

def cut_replies(chunks: Iterable[bytes]) -> list[bytes]:
    """Cut a stream that comes in chunks into replies. ValueError on what is none."""
