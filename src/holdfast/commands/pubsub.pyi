"""Commands: pubsub; see the head of the .pyx for its index."""

from holdfast.engine.state import Engine

def drop_shard_channel(engine: Engine, name: bytes) -> None:
    """End all subscriptions to a shard channel, and tell the clients."""

def register(engine: Engine) -> int:
    """Declare the commands of the family."""
