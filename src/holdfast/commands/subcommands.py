"""The subcommands of a container (CONFIG, CLIENT …), declared from an index of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from holdfast.commands.spec import Spec
from holdfast.engine.registry import add_function
from holdfast.engine.state import Engine, Session

Handler = Callable[[Session, list[bytes]], object]
Row = tuple[str, int, str, str, Handler, str, str]
"""Name, arity, flags, since, handler, summary and complexity, as `Spec` has them."""


def add_subcommands(engine: Engine, container: str, index: Iterable[Row], *, group: str) -> None:
    """Declare the rows of an index as subcommands of a container."""
    for name, arity, flags, since, handler, summary, complexity in index:
        spec = Spec(
            f"{container}|{name}",
            arity,
            flags,
            group=group,
            since=since,
            summary=summary,
            complexity=complexity,
        )
        add_function(engine, spec, handler)
