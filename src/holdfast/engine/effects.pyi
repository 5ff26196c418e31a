"""The effects stream: what AOF and replicas get of each change."""

from holdfast.engine.state import Engine

class EffectSink:
    """Who takes the effects of each tick where they stand."""

def take_stream(engine: Engine) -> bytes | None:
    """Return the effects of this tick (None: there are none) and begin anew."""

def stream_database(engine: Engine) -> int:
    """Return the database that is selected at the end of the stream, 0 if the next effect says it anyhow."""

def forget_database(engine: Engine) -> None:
    """Let the next effect begin with SELECT (a new reader joins the stream)."""

def append_command(engine: Engine, command: bytes) -> None:
    """Add a command of the node's own, in RESP; it belongs to no database."""
