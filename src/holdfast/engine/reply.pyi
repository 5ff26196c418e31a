"""Replies, in the protocol version of the session."""

from holdfast.engine.state import Session

def send_value(session: Session, value: object) -> None:
    """Reply to a session outside of a command of its own; it leaves with this tick."""
