"""Held replies: what may not leave before replicas have acknowledged it."""

from collections.abc import Container

from holdfast.engine.state import Engine, Session

def settle_held(engine: Engine, offset: int) -> list[Session]:
    """Let all replies held in this tick wait for `offset`; return their sessions."""

def release_held(session: Session, offset: int) -> int:
    """Let the replies go that wait for `offset` or less; return how many."""

def release_all(sessions: list[Session], offset: int) -> None:
    """Let the replies of all these sessions go that wait for `offset` or less."""

def fail_held(session: Session, offset: int, error: bytes) -> int:
    """Put an error in the place of every reply that waits for `offset` or less; return how many."""

def hold_unsent(engine: Engine, passed_over: Container[Session]) -> None:
    """Hold every reply of this tick that is still here, but of replicas and of the sessions passed over."""
