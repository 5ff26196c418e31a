"""Commands: databases; see the head of the .pyx for its index."""

from holdfast.engine.state import Engine

def count_keys_in_slot(engine: Engine, slot: int) -> int:
    """Return how many keys a slot has."""

def keys_in_slot(engine: Engine, slot: int, limit: int) -> list[bytes]:
    """Return up to `limit` keys of a slot."""

def register(engine: Engine) -> int:
    """Declare the commands of the family."""
