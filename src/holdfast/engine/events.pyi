"""Changed keys: what WATCH, key-space notifications and counters hear of it."""

from holdfast.engine.state import Engine

def publish_message(engine: Engine, channel: bytes, message: bytes, sharded: bool = False) -> int:
    """Deliver a message to the subscribers on this node; return how many got it."""
