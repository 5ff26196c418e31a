"""The command table of an engine: names to commands."""

from collections.abc import Callable

from holdfast.commands.spec import Spec
from holdfast.engine.state import Engine, Session

def add_function(engine: Engine, spec: Spec, function: Callable[[Session, list[bytes]], object]) -> None:
    """Declare a command written in Python: list of bytes in (the name first), a reply value out."""

def add_container(engine: Engine, spec: Spec) -> None:
    """Declare a command that exists only through its sub-commands."""

def command_names(engine: Engine) -> list[str]:
    """Return the names of all commands, sub-commands as ``config|get``."""

def rename_command(engine: Engine, name: str, new_name: str) -> bool:
    """Let a command and its sub-commands answer to another name ("": to none); False: there is none."""

def command_stats(engine: Engine, name: str) -> tuple[int, int, int, int] | None:
    """Return (calls, nanoseconds, rejected, failed) of a command, or None."""

def reset_stats(engine: Engine) -> None:
    """Set the counters of all commands to zero."""

def specification(engine: Engine, name: str) -> Spec | None:
    """Return the Spec of a command, or None."""
