"""DUMP and RESTORE (see the `.pyx`)."""

from holdfast.engine.state import Engine, Session

def register(e: Engine) -> int: ...
def payload_of(session: Session, key: bytes) -> tuple[bytes, int] | None:
    """Return the DUMP payload of a key and when it expires (milliseconds since 1970, -1: never)."""

def bytes_of(session: Session, key: bytes) -> int | None:
    """Return about how many bytes a key takes, without going through all of it; None: it is not there."""

def begin_watch(watcher: Session, session: Session, key: bytes) -> None:
    """Note from now on whether a key, of the session's database, changes; `watcher` watches nothing else."""

def end_watch(watcher: Session) -> bool:
    """Watch no longer; return whether the key is there and the same."""

def forget_key(session: Session, database: int, key: bytes) -> bool:
    """Delete a key that another server has now, and propagate that."""

def store_payload(session: Session, key: bytes, payload: bytes, at_ms: int) -> bool:
    """Make a key what a payload says, and propagate that. False: the payload is not sound."""
