"""Parked sessions, for commands written in Python (see the `.pyx`)."""

from holdfast.engine.state import Session

def answer(session: Session, value: object) -> None:
    """Write the reply of a session that was parked."""

def write_offset(session: Session) -> int:
    """Return the stream offset after the session's last write."""

def waits_for(session: Session, reason: object) -> bool:
    """Tell whether the session is still parked for this very reason."""
