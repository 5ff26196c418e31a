"""What each command means: one module a family, its specification beside its handlers.

`declare_all` gives an engine all commands of a data node. Families written in
Cython have `register(engine)`; those in Python as well.
"""

from __future__ import annotations

from holdfast.commands import (
    bitfield,
    bits,
    connection,
    dump,
    hash_scan,
    hashes,
    lcs,
    list_blocking,
    list_places,
    lists,
    migrate,
    replication,
    saving,
    set_algebra,
    sets,
    string_ranges,
    strings,
)
from holdfast.engine.state import Engine

FAMILIES = (
    bitfield,
    bits,
    connection,
    dump,
    hash_scan,
    hashes,
    lcs,
    list_blocking,
    list_places,
    lists,
    migrate,
    replication,
    saving,
    set_algebra,
    sets,
    string_ranges,
    strings,
)


def declare_all(engine: Engine) -> None:
    """Declare every command of a data node."""
    for family in FAMILIES:
        family.register(engine)
