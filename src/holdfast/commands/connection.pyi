"""The connection commands."""

from holdfast.engine.state import Engine

def register(engine: Engine) -> int:
    """Declare the commands of the family."""
