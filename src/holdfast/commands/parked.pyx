"""Parked sessions, for commands written in Python (MIGRATE, WAITAOF).

What it is: small doors to fields that are not Python's. What it is not: parking
itself (`engine.blocking`).
"""

from holdfast.engine.reply cimport reply_value
from holdfast.engine.state cimport S_BLOCKED, S_CLOSING, Session


def answer(Session session not None, value):
    """Write the reply of a session that was parked."""
    reply_value(session, value)


def write_offset(Session session not None):
    """Return the stream offset after the session's last write."""
    return session.write_offset


def waits_for(Session session not None, reason):
    """Tell whether the session is still parked for this very reason."""
    return (session.flags & S_BLOCKED) != 0 and not session.flags & S_CLOSING and session.blocked_on is reason
