"""A second data set beside an engine's own: loaded in the dark, then put in its place."""

from holdfast.engine.state import Engine

def twin_of(engine: Engine) -> Engine:
    """Return an empty engine for data that may later be this engine's."""

def follow_settings(twin: Engine, engine: Engine) -> None:
    """Give the twin the time and the thresholds that its values are to be built with."""

def swap_data(engine: Engine, twin: Engine, empty_bytes: int) -> None:
    """Put the twin's data in the place of the engine's, whose own are freed between ticks."""

def empty(engine: Engine, lazily: bool) -> None:
    """Free all data of an engine, at once or between ticks."""
