"""Held replies: what may not leave before replicas have acknowledged it."""

from holdfast.engine.state import Engine, Session

def settle_held(engine: Engine, offset: int) -> list[Session]:
    """Let all replies held in this tick wait for `offset`; return their sessions."""

def release_held(session: Session, offset: int) -> int:
    """Let the replies go that wait for `offset` or less; return how many."""

def fail_held(session: Session, offset: int, error: bytes) -> int:
    """Put an error in the place of every reply that waits for `offset` or less; return how many."""
