"""Commands about the server itself: connections, configuration, statistics, debugging.

One module a family, each with `register(engine)`; they are Python functions that
find their node through the session (`holdfast.server.node.node_of`). What a
command does to data is in `holdfast.commands`.
"""

from __future__ import annotations

from holdfast.engine.state import Engine
from holdfast.server.commands import (
    acl,
    authentication,
    client,
    cluster,
    cluster_gifts,
    cluster_orders,
    config,
    debug,
    info,
    latency,
    lolwut,
    memory,
    monitor,
    shutdown,
    slowlog,
)

FAMILIES = (
    authentication,
    client,
    acl,
    cluster,
    cluster_gifts,
    cluster_orders,
    config,
    info,
    memory,
    slowlog,
    latency,
    monitor,
    debug,
    lolwut,
    shutdown,
)


def declare_server_commands(engine: Engine) -> None:
    """Declare every command of the server's own."""
    for family in FAMILIES:
        family.register(engine)
