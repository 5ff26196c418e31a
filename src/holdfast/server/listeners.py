"""Where a node listens: TCP addresses and the unix socket.

All of the configuration at the start, TCP anew when CONFIG SET changes port or
bind: then the old sockets close only once the new ones are had. Not here: what
happens with a client that comes (`clients`).

How to read it: `Listeners.open`, `_reopen`, `close`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.server.config import Configuration, Refused

if TYPE_CHECKING:
    from holdfast.server.connection import Connection
    from holdfast.server.node import Node

ANY = {"*": "0.0.0.0", "::*": "::"}


class Listeners:
    """The listening sockets of one node."""

    def __init__(self, node: Node, accept: Callable[[], Connection], any_port: bool) -> None:
        """`any_port`: port 0 means one that is free, not none."""
        self._node = node
        self._accept = accept
        self._any_port = any_port
        self._tcp: list[asyncio.Server] = []
        self._unix: asyncio.AbstractServer | None = None
        self._opening: asyncio.Task[None] | None = None
        self.ports: list[tuple[str, int]] = []
        """Address and port of each TCP socket."""
        node.configuration.on_change(("port",), self._reopen)
        node.configuration.on_change(("bind",), self._reopen)

    @property
    def servers(self) -> list[asyncio.AbstractServer]:
        """Everything that listens."""
        return [*self._tcp] if self._unix is None else [*self._tcp, self._unix]

    async def open(self) -> None:
        """Listen everywhere; `OSError` when one address cannot be had."""
        configuration = self._node.configuration
        if configuration["port"] or self._any_port:
            await self._open_tcp()
        if configuration["unixsocket"]:
            await self._open_unix(configuration.path("unixsocket"))
        if not self._tcp and self._unix is None:
            raise OSError("Configured to not listen anywhere, exiting.")

    async def _open_tcp(self) -> None:
        port = self._node.configuration["port"]
        for address, where, optional in self._addresses():
            try:
                server = await self._node.loop.create_server(
                    self._accept, where, port, backlog=self._node.configuration["tcp-backlog"]
                )
            except OSError as error:
                if optional:
                    continue
                self._node.log.warning(
                    f"Could not create server TCP listening socket {address}:{port}: {error}"
                )
                raise
            self._tcp.append(server)
            self.ports += [each.getsockname()[:2] for each in server.sockets]
            port = port or self.ports[0][1]

    async def _open_unix(self, path: str) -> None:
        disk = self._node.host.disk
        if disk.exists(path):
            disk.remove(path)
        self._unix = await self._node.loop.create_unix_server(
            self._accept, path, backlog=self._node.configuration["tcp-backlog"]
        )
        mode = self._node.configuration["unixsocketperm"]
        if mode:
            os.chmod(path, mode)

    def _addresses(self) -> list[tuple[str, str, bool]]:
        """Return (as configured, as the system wants it, whether it may be missing)."""
        found = []
        for word in self._node.configuration["bind"]:
            address = word.removeprefix("-")
            found.append((address, ANY.get(address, address), word.startswith("-")))
        return found

    def _reopen(self, configuration: Configuration) -> None:
        """Follow port and bind: new sockets first, so that a refusal leaves the old ones."""
        if not configuration["port"]:
            if not self._any_port:
                self._close_tcp()
            return
        wanted = [(where, configuration["port"]) for _, where, _ in self._addresses()]
        kept = [each for each in self.ports if each in wanted]
        fresh: list[socket.socket] = []
        for address, where, optional in self._addresses():
            if (where, configuration["port"]) in kept:
                continue
            try:
                fresh.append(listening_socket(where, configuration["port"], configuration["tcp-backlog"]))
            except OSError as error:
                if optional:
                    continue
                for each in fresh:
                    each.close()
                self._node.log.warning(
                    f"Could not create server TCP listening socket {address}:{configuration['port']}: {error}"
                )
                raise Refused("Unable to listen on this port. Check server logs.") from None
        old = [
            server
            for server in self._tcp
            if not any(each.getsockname()[:2] in kept for each in server.sockets)
        ]
        self._tcp = [server for server in self._tcp if server not in old]
        self.ports = kept + [each.getsockname()[:2] for each in fresh]
        for server in old:
            server.close()
        self._opening = self._node.loop.create_task(self._serve(fresh))

    async def _serve(self, fresh: list[socket.socket]) -> None:
        for each in fresh:
            self._tcp.append(await self._node.loop.create_server(self._accept, sock=each))

    def _close_tcp(self) -> None:
        for server in self._tcp:
            server.close()
        self._tcp.clear()
        self.ports.clear()

    def close(self) -> None:
        """Listen no more; remove the unix socket's file."""
        self._close_tcp()
        if self._unix is not None:
            self._unix.close()
            self._unix = None
            path = self._node.configuration.path("unixsocket")
            if self._node.host.disk.exists(path):
                self._node.host.disk.remove(path)

    def describe(self) -> list[str]:
        """Return the listeners as INFO server shows them."""
        lines = []
        if self.ports:
            binds = ",".join(f"bind={address}" for address, _, _ in self._addresses())
            lines.append(f"name=tcp,{binds},port={self.ports[0][1]}")
        if self._unix is not None:
            lines.append(f"name=unix,bind={self._node.configuration['unixsocket']}")
        return lines


def listening_socket(where: str, port: int, backlog: int) -> socket.socket:
    """Return a bound, listening socket; `OSError` when the address cannot be had."""
    family = socket.AF_INET6 if ":" in where else socket.AF_INET
    link = socket.socket(family, socket.SOCK_STREAM)
    try:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        link.setblocking(False)
        link.bind((where, port))
        link.listen(backlog)
    except OSError:
        link.close()
        raise
    return link
