"""See strings.pyx: the index of the family is `register`."""

from holdfast.engine.state import Engine

def register(engine: Engine) -> int:
    """Declare the commands of the family."""
