"""Keys in great number for tests, and where elements of lists stand alone (see the `.pyx`)."""

from holdfast.engine.state import Session

def populate(session: Session, keys: int, prefix: bytes, value_bytes: int) -> None:
    """Add `prefix:0` and so on, each with its number as value; keys that are there stay. Nothing propagates.

    `value_bytes` cuts values or fills them up with zero bytes; 0 leaves them as they are.
    """

def set_packed_threshold(session: Session, element_bytes: int) -> None:
    """Let list elements of so many bytes stand alone from now on; 0: as the list's own limit says."""
