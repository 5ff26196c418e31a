"""Commands: databases; see the head of the .pyx for its index."""

from holdfast.engine.state import Engine

def register(engine: Engine) -> int:
    """Declare the commands of the family."""
