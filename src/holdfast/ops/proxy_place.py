"""How the proxy is told about a deployment: the one place that knows its file.

What it is: the text of a nutcracker.yml with one pool of one server, the primary, and that
text pointed at another one. What it is not: when that happens (`stable_port`).

How to read it: `proxy_file`, `pointed_at`. A cluster has no such pool: its clients speak Cluster.
"""

from __future__ import annotations

import re

from holdfast.ops.model import Deployment
from holdfast.ops.wire import Address

FILE_NAME = "nutcracker.yml"
TIMEOUT_AFTER_DOWN_MS = 1000
"""A request to a server that hangs is given up so long after the server is called down."""
_SERVER = re.compile(r"^(\s+- ).*:1 primary$", re.MULTILINE)


def proxy_file(deployment: Deployment, listens: Address, primary: Address) -> str:
    """Return the proxy's file."""
    lines = [
        f"{deployment.name}:",
        f"  listen: {listens}",
        "  redis: true",
        "  hash: crc16",
        "  distribution: modula",
        f"  timeout: {deployment.down_after_ms + TIMEOUT_AFTER_DOWN_MS}",
        "  auto_eject_hosts: false",
        *([f'  redis_auth: "{deployment.password}"'] if deployment.password else []),
        "  servers:",
        f"   - {primary}:1 primary",
    ]
    return "\n".join(lines) + "\n"


def pointed_at(text: str, primary: Address) -> str:
    """Return a file with another primary in it."""
    return _SERVER.sub(rf"\g<1>{primary}:1 primary", text)


def arguments(path: str) -> tuple[str, ...]:
    """Return the proxy's words on the command line: no port for statistics, as INFO tells them too."""
    return ("-c", path, "-s", "0")
