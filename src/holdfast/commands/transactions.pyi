"""Commands: transactions; see the head of the .pyx for its index."""

from holdfast.engine.state import Engine, Session

def discard_transaction(session: Session) -> int:
    """Forget the queue and what is watched."""

def register(engine: Engine) -> int:
    """Declare the commands of the family."""
