"""Sessions that wait: for keys, for acknowledgements, for the end of a pause."""

from collections.abc import Callable

from holdfast.engine.state import Engine, Session

def resume_paused(engine: Engine) -> None:
    """Run the requests that a pause held back."""

def next_deadline_ms(engine: Engine) -> int | None:
    """Return when the next parked session times out (milliseconds since 1970), or None."""

def expire_parked(engine: Engine) -> None:
    """Answer the parked sessions whose time is over at the engine's present time."""

def unblock(session: Session, as_error: bool = False) -> bool:
    """End the wait of a parked session; False: it was not parked, or by a pause."""

def refuse_parked(engine: Engine) -> None:
    """Send away the sessions that wait for keys: this node became a replica and cannot serve them."""

def abandon(session: Session) -> None:
    """Forget a session that is being closed."""

def unpark_session(session: Session) -> None:
    """End a wait whose reply has been written."""

def unpark_with_error(session: Session, text: bytes) -> None:
    """End the wait of a parked session with an error reply."""

def park_session(
    session: Session, reason: object, until_ms: int, on_timeout: Callable[[Session], None] | None
) -> None:
    """Park a session for a reason of the caller's; `on_timeout(session)` writes its reply."""
