"""Ports for servers of tests: never the same one twice, never one that an outgoing connection may get.

The kernel gives outgoing connections ports of its own range (32768 to 60999 on Linux), so a
port from there can be taken between choosing and listening. Those given here lie outside, and
each test process has a share of its own.

How to read it: `free_port`. The deployments of `tests.ops` choose from 10000 to 12999 and
10,000 and 20,000 above, which are left to them.
"""

from __future__ import annotations

import os
import random
import socket

BUS_PORT_AHEAD = 10_000
"""A cluster node's bus listens so far above its port, unless it is told otherwise."""
WITH_BUS = range(13_000, 19_800)
ALONE = range(61_000, 65_400)
SHARES = 16


def _share(ports: range) -> list[int]:
    """Return this test process's ports, beginning anywhere: other runs may be about."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    size = len(ports) // SHARES
    first = (int(worker) if worker.isdigit() else 0) % SHARES * size
    mine = [*ports[first : first + size]]
    turn = random.Random(os.getpid()).randrange(size)
    return mine[turn:] + mine[:turn]


_LEFT = {False: _share(ALONE), True: _share(WITH_BUS)}


def free_port(*, with_bus: bool = False) -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on, nor on its bus port: the longest unused."""
    ports = _LEFT[with_bus]
    for _ in range(len(ports)):
        port = ports.pop(0)
        ports.append(port)
        if _is_free(port) and (not with_bus or _is_free(port + BUS_PORT_AHEAD)):
            return port
    raise OSError("no port is free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
