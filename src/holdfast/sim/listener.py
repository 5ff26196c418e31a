"""A port on which a process accepts connections.

What this is: a listening socket with its backlog, and the `asyncio.Server` made of
one or several. What it is not: the handshake (`network.Attempt`).

How to read it: the kernel completes handshakes on its own, so connections to a
paused process succeed and wait, `waiting`, until it is resumed or the backlog is full
(then SYNs are dropped and the clients' attempts hang).
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from holdfast.sim.life import LIFE
from holdfast.sim.sockets import SimSocket

if TYPE_CHECKING:
    from holdfast.sim.endpoint import Endpoint
    from holdfast.sim.life import Life
    from holdfast.sim.loop import SimLoop


class Listener:
    """A listening socket."""

    __slots__ = ("address", "backlog", "closed", "context", "factory", "life", "port", "server", "waiting")

    def __init__(
        self,
        life: Life,
        address: str,
        port: int,
        factory: Callable[[], asyncio.BaseProtocol],
        backlog: int,
        server: SimServer,
    ) -> None:
        """Bind and listen; raise EADDRINUSE where that would."""
        self.life = life
        self.address = address
        interface = life.interface
        if port == 0:
            port = interface.free_port()
        for other in interface.listeners.get(port, ()):
            same_family = (":" in other.address) == (":" in address)
            if other.address == address or (
                same_family and ("0.0.0.0" in (other.address, address) or "::" in (other.address, address))
            ):
                raise OSError(
                    errno.EADDRINUSE,
                    f"error while attempting to bind on address ('{address}', {port}): "
                    "address already in use",
                )
        self.port = port
        self.factory = factory
        self.backlog = backlog
        self.server = server
        self.closed = False
        self.waiting: dict[Endpoint, None] = {}
        self.context = copy_context()
        self.context.run(LIFE.set, life)
        interface.listeners.setdefault(port, []).append(self)
        life.listeners[self] = None

    def is_full(self) -> bool:
        """Tell whether as many connections wait to be accepted as the backlog allows."""
        return len(self.waiting) > self.backlog

    def accept(self, endpoint: Endpoint) -> None:
        """Make the protocol of a connection that the kernel has completed."""
        self.waiting.pop(endpoint, None)
        try:
            endpoint.attach(self.factory())
        except Exception as error:
            self.life.loop.call_exception_handler(
                {"message": "Error on transport creation for incoming connection", "exception": error}
            )
            endpoint.fail(None)

    def shut(self, *, silently: bool = False) -> None:
        """Stop listening; connections not yet accepted are reset (said only if not `silently`)."""
        if self.closed:
            return
        self.closed = True
        interface = self.life.interface
        others = [other for other in interface.listeners[self.port] if other is not self]
        if others:
            interface.listeners[self.port] = others
        else:
            del interface.listeners[self.port]
        self.life.listeners.pop(self, None)
        for endpoint in list(self.waiting):
            self.life.endpoints.pop(endpoint, None)
            if silently:
                endpoint.vanish()
            else:
                endpoint.closed = True
                endpoint.send_reset()
                endpoint.into.retire()
        self.waiting.clear()


class SimServer(asyncio.AbstractServer):
    """What `create_server` returns."""

    def __init__(self, loop: SimLoop) -> None:
        """Make a server without listeners; the loop adds them."""
        self._loop = loop
        self._listeners: list[Listener] = []
        self._serving = True
        self._forever: asyncio.Future[None] | None = None

    def add(self, listener: Listener) -> None:
        """Serve on one more listening socket."""
        self._listeners.append(listener)

    @property
    def sockets(self) -> tuple[Any, ...]:
        """The listening sockets, to be asked for their addresses."""
        return tuple(SimSocket((listener.address, listener.port)) for listener in self._listeners)

    def close(self) -> None:
        """Stop listening; connections that exist stay."""
        self._serving = False
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            if not listener.life.dead:
                listener.shut()
        if self._forever is not None and not self._forever.done():
            self._forever.cancel()

    async def wait_closed(self) -> None:
        """Return: closing takes no time."""

    def is_serving(self) -> bool:
        """Tell whether connections are accepted."""
        return self._serving

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop."""
        return self._loop

    async def start_serving(self) -> None:
        """Return: a server serves from its creation."""

    async def serve_forever(self) -> None:
        """Wait until cancelled or closed."""
        if self._forever is not None:
            raise RuntimeError("server is already being awaited on serve_forever()")
        self._forever = self._loop.create_future()
        try:
            await self._forever
        finally:
            self._forever = None
            self.close()
