"""What each command means: one module a family, its specification beside its handlers.

`declare_all` gives an engine all commands of a data node. Families written in
Cython have `register(engine)`; those in Python as well.
"""

from __future__ import annotations

from holdfast.commands import (
    bit_operations,
    bitfield,
    bits,
    command_table,
    connection,
    counters,
    databases,
    dump,
    expire,
    hash_scan,
    hashes,
    keys,
    lcs,
    list_blocking,
    list_places,
    lists,
    migrate,
    objects,
    pubsub,
    redirection,
    replication,
    saving,
    scan,
    scripting,
    set_algebra,
    sets,
    sort,
    string_ranges,
    strings,
    transactions,
    zset_add,
    zset_algebra,
    zset_pop,
    zset_range,
    zset_read,
)
from holdfast.engine.state import Engine

FAMILIES = (
    bit_operations,
    bitfield,
    bits,
    command_table,
    connection,
    counters,
    databases,
    dump,
    expire,
    hash_scan,
    hashes,
    keys,
    lcs,
    list_blocking,
    list_places,
    lists,
    migrate,
    objects,
    pubsub,
    redirection,
    replication,
    saving,
    scan,
    scripting,
    set_algebra,
    sets,
    sort,
    string_ranges,
    strings,
    transactions,
    zset_add,
    zset_algebra,
    zset_pop,
    zset_range,
    zset_read,
)


def declare_all(engine: Engine) -> None:
    """Declare every command of a data node."""
    for family in FAMILIES:
        family.register(engine)
