"""How the proxy is told about a deployment: the one place that knows its file.

What it is: the text of a nutcracker.yml with one pool, which follows whoever leads: by the
Sentinels, or by the cluster's own map. The file never changes while the deployment lives.
What it is not: the following itself (`holdfast.proxy`).

How to read it: `proxy_file`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast.ops.model import Deployment
from holdfast.ops.wire import Address

FILE_NAME = "nutcracker.yml"


def proxy_file(
    deployment: Deployment, listens: Address, data: Sequence[Address], sentinels: Sequence[Address]
) -> str:
    """Return the proxy's file. `data` are the data nodes, the first one leads where nobody can choose."""
    password = deployment.password
    lines = [
        f"{deployment.name}:",
        f"  listen: {listens}",
        "  redis: true",
        f"  timeout: {deployment.failover_limit_ms}",
        *([f'  redis_auth: "{password}"'] if password else []),
    ]
    if deployment.cluster is not None:
        lines += ["  cluster:", *_items(data), f"  failover-hold-ms: {deployment.failover_limit_ms}"]
    elif sentinels:
        lines += [
            "  sentinels:",
            *_items(sentinels),
            "  masters:",
            *_items([deployment.name]),
            *([f'  sentinel-auth: "{password}"'] if password else []),
            f"  failover-hold-ms: {deployment.failover_limit_ms}",
        ]
    else:
        lines += ["  auto_eject_hosts: false", "  servers:", *_items([f"{data[0]}:1 primary"])]
    return "\n".join(lines) + "\n"


def _items(values: Iterable[object]) -> list[str]:
    return [f"   - {each}" for each in values]


def arguments(path: str) -> tuple[str, ...]:
    """Return the proxy's words on the command line: no port for statistics, as INFO tells them too."""
    return ("-c", path, "-s", "0")
