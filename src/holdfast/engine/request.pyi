"""Requests: bytes of a client cut into calls, executed in order."""

from holdfast.engine.state import Session

def receive(session: Session, chunk: bytes | bytearray | memoryview) -> None:
    """Take bytes that a client sent; execute every complete request in them."""

def resume(session: Session) -> None:
    """Execute what waits in the session's input, if it may run again."""

def execute_stream(session: Session, chunk: bytes | bytearray | memoryview) -> int:
    """Execute the complete requests in `chunk` and return how many bytes they took."""

def apply_stream(session: Session, chunk: bytes) -> int:
    """Execute the complete requests of a primary's stream; return how many bytes they took. ValueError."""
