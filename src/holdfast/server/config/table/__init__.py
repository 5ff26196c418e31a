"""Every directive that Holdfast knows, by area.

Redis 7.2's whole table (and with it 7.0's), and our own in `acknowledgement.py`.
Directives that stand only in files (`include`, `user`, `rename-command`,
`loadmodule`) are in `config/reader.py`.

How to read it: `DIRECTIVES` is the table, `BY_NAME` finds a directive by its name
or an alias. Neither ever changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from holdfast.server.config.directive import Directive
from holdfast.server.config.table import (
    acknowledgement,
    cluster,
    limits,
    network,
    persistence,
    process,
    replication,
    tls,
    values,
)

DIRECTIVES: tuple[Directive, ...] = (
    *network.DIRECTIVES,
    *process.DIRECTIVES,
    *limits.DIRECTIVES,
    *values.DIRECTIVES,
    *persistence.DIRECTIVES,
    *replication.DIRECTIVES,
    *acknowledgement.DIRECTIVES,
    *cluster.DIRECTIVES,
    *tls.DIRECTIVES,
)

BY_NAME: Mapping[str, Directive] = MappingProxyType(
    {name: directive for directive in DIRECTIVES for name in (directive.name, *directive.aliases)}
)
