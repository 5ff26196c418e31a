"""Sessions seen from outside: what CLIENT, RESET, MONITOR and the connection's end need."""

from typing import Any

from holdfast.engine.state import Engine, Session

CLOSING: int
CLOSE_AFTER: int
BLOCKED: int
MULTI: int
DIRTY_CAS: int
MONITOR: int
REPLICA: int
PRIMARY: int
PUBSUB: int
DENY_BLOCKING: int
NO_EVICT: int
NO_TOUCH: int
READONLY: int
UNIX: int
PAUSED: int
NOT_AUTHENTICATED: int
ENGINE_PAUSED: int
SENT_AWAY: int

def facts(s: Session) -> dict[str, Any]:
    """Return what CLIENT LIST tells of a session, as a dict."""

def flags_to_show(s: Session) -> int:
    """Return the session's flags as CLIENT LIST tells them."""

def last_command(s: Session) -> str | None:
    """Return the name of the command that the session ran last, or None."""

def set_protocol(s: Session, version: int) -> None:
    """Speak RESP2 or RESP3 from the next reply on."""

def select(s: Session, database: int) -> None:
    """Select a database that exists."""

def start_monitor(s: Session) -> None:
    """Let the session see every executed request."""

def set_replies(s: Session, mode: str) -> None:
    """CLIENT REPLY: mode is "on", "off" or "skip" (the next reply only)."""

def set_no_touch(s: Session, on: bool) -> None:
    """CLIENT NO-TOUCH."""

def close_soon(s: Session) -> None:
    """See that the session's connection closes: at once, or with S_CLOSE_AFTER after its replies."""

def release(s: Session) -> None:
    """Forget what the engine's tables know of a session: subscriptions, watched keys, MONITOR."""

def reset(s: Session) -> None:
    """Make a session as it was when its client connected; authentication is the caller's."""

def used_by_tables(e: Engine) -> dict[str, int]:
    """Return counts of the engine's tables that INFO tells."""

def keyspace_facts(e: Engine) -> dict[str, int]:
    """Return counters of the keyspace that INFO tells."""

def reset_keyspace_counters(e: Engine) -> None:
    """Begin the counters of the keyspace anew (CONFIG RESETSTAT)."""

def note_peak(e: Engine) -> None:
    """Remember the largest size of the data."""

def average_ttl_ms(e: Engine, database: int) -> int:
    """Return the average time to live in a database, in milliseconds, as sampled by the expiry cycle."""
