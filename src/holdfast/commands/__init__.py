"""What each command means: one module a family, its specification beside its handlers.

`declare_all` gives an engine all commands of a data node. Families written in
Cython have `register(engine)`; those in Python as well.
"""

from __future__ import annotations

from holdfast.commands import (
    connection,
    set_algebra,
    sets,
    strings,
    zset_add,
    zset_algebra,
    zset_pop,
    zset_range,
    zset_read,
)
from holdfast.engine.state import Engine

FAMILIES = (
    connection,
    strings,
    sets,
    set_algebra,
    zset_add,
    zset_read,
    zset_range,
    zset_algebra,
    zset_pop,
)


def declare_all(engine: Engine) -> None:
    """Declare every command of a data node."""
    for family in FAMILIES:
        family.register(engine)
