"""Holdfast: a fault-tolerant distributed cache that speaks Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.embed import Server

try:
    import holdfast.compiled
except ModuleNotFoundError as error:
    # Not compiled yet: what needs a compiled module does not find that.
    if error.name != "holdfast.compiled":
        raise
else:
    holdfast.compiled.install()

__version__ = "0.1.0"
__all__ = ["Server", "__version__"]


def __getattr__(name: str) -> Any:
    """Import what is big only when it is asked for."""
    if name == "Server":
        from holdfast.embed import Server

        return Server
    raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
