"""The loop's methods that make servers and connections.

What this is: `create_server`, `create_connection` and name resolution, as a mixin of
`loop.SimLoop`, so that streams and protocols of unchanged programs work. What it is
not: the network itself (`network`).

How to read it: each method checks what is not supported, then hands to the network.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, cast

from holdfast.sim.life import LIFE, Life
from holdfast.sim.listener import Listener, SimServer

if TYPE_CHECKING:
    from holdfast.sim.endpoint import Endpoint
    from holdfast.sim.loop import SimLoop
    from holdfast.sim.network import Network

NOT_SIMULATED = ("ssl", "sock", "local_addr")


class NetworkMethods:
    """Mixin of the loop: names, servers, connections."""

    network: Network
    life: Life

    async def getaddrinfo(
        self,
        host: str | bytes | None,
        port: str | int | bytes | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Resolve a simulated name; raise socket.gaierror if there is none."""
        name = host.decode() if isinstance(host, bytes) else host
        if not name:
            name = "0.0.0.0" if flags & socket.AI_PASSIVE else "127.0.0.1"
        address = self.network.resolve(name)
        found = socket.AF_INET6 if ":" in address else socket.AF_INET
        if family not in (0, found):
            raise socket.gaierror(socket.EAI_ADDRFAMILY, "Address family for hostname not supported")
        return [(found, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, int(port or 0)))]

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """Return the name of the host that has an address."""
        holder = self.network.holder(self.life.interface, sockaddr[0])
        return (holder.name if holder is not None else sockaddr[0], str(sockaddr[1]))

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | Iterable[str] | None = None,
        port: int | None = None,
        *,
        backlog: int = 100,
        **options: Any,
    ) -> SimServer:
        """Listen on a port of the running process's host (0: any free one)."""
        refuse_unsimulated(options)
        hosts = ["0.0.0.0"] if not host else [host] if isinstance(host, str) else list(host)
        life = self.life
        server = SimServer(cast("SimLoop", self))
        try:
            for name in hosts:
                address = self.network.resolve(name)
                if self.network.holder(life.interface, address) is not life.interface:
                    raise OSError(
                        errno.EADDRNOTAVAIL,
                        f"error while attempting to bind on address ('{address}', {port}): "
                        "cannot assign requested address",
                    )
                server.add(Listener(life, address, port or 0, protocol_factory, backlog, server))
        except OSError:
            server.close()
            raise
        return server

    async def create_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        **options: Any,
    ) -> tuple[Endpoint, asyncio.BaseProtocol]:
        """Connect from the running process's host; hang where packets are dropped."""
        refuse_unsimulated(options)
        if host is None or port is None:
            raise ValueError("host and port was not specified and no sock specified")
        life = self.life
        address = self.network.resolve(host)
        context = copy_context()
        context.run(LIFE.set, life)
        future: asyncio.Future[Endpoint] = cast("SimLoop", self).create_future()
        self.network.connect(life, context, address, int(port), future)
        try:
            endpoint = await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().abort()
            raise
        protocol = protocol_factory()
        endpoint.attach(protocol)
        return endpoint, protocol


def refuse_unsimulated(options: dict[str, Any]) -> None:
    """Raise NotImplementedError for options that the simulator does not know."""
    for name in NOT_SIMULATED:
        if options.get(name):
            raise NotImplementedError(f"the simulated network has no {name}=")
