"""The keys of one hash slot, in cluster mode."""

from holdfast.engine.state import Engine

def count_keys_in_slot(engine: Engine, slot: int) -> int:
    """Return how many keys a slot has."""

def keys_in_slot(engine: Engine, slot: int, limit: int) -> list[bytes]:
    """Return up to `limit` keys of a slot."""

def slots_with_keys(engine: Engine) -> int:
    """Return the slots that have keys, as a number with a bit a slot."""

def delete_keys_in_slot(engine: Engine, slot: int) -> int:
    """Delete all keys of a slot, as DEL would; return how many there were."""
