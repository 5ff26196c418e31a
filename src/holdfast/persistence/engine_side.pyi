"""What the keeper of files asks of an engine and its sessions (see the `.pyx`)."""

from holdfast.engine.state import Engine, Session

def in_unit(engine: Engine) -> bool:
    """Tell whether a transaction or script is under way: its effects are not whole yet."""

def writers_of_tick(engine: Engine) -> int:
    """Return how many sessions have replies to go out with this tick's effects; 0: there are no effects."""

def hold_replies(engine: Engine, offset: int) -> list[Session]:
    """Take out of the pending sessions, and return, those that wrote after `offset`."""

def release_replies(engine: Engine, held: list[Session]) -> None:
    """Make held sessions pending again."""

def empty(engine: Engine) -> None:
    """Drop all keys of all databases."""

def raise_guard(engine: Engine, misconf: bool) -> None:
    """Raise or lower the guard that answers writes with MISCONF."""

def set_loading(engine: Engine, loading: bool) -> None:
    """Raise or lower the guard that answers with LOADING."""

def make_loader(session: Session) -> None:
    """Let a session replay a file: no replies, nothing propagated, no expiry."""

def make_room(engine: Engine, keys: int) -> None:
    """Let the table of database 0 grow once for keys to come."""
