"""Service of clients while a script holds the event loop.

What it is: a small poll over the sockets of the node, run by the hook of a
script that is over its time. Event loops cannot be entered again, so bytes are
read from and written to the sockets beside the loop; the engine answers nearly
everything with -BUSY. Clients that connect meanwhile are served as well and
handed to the loop when the script has ended. What it is not: a second loop:
nothing else happens, no timer, no replication.

A client that the loop has accepted, but not yet announced, when the script begins
has a connection without a transport. Its socket is found among the descriptors of
the process: one that was accepted where we listen and that nobody knows. Where
there are more such sockets than such connections (one that is being closed looks
alike), they wait for the loop.

In the simulator sockets have no descriptor and no time passes inside of a
script: nothing is served there, and nothing needs to be.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from holdfast.server.connection import Connection


class _Adopted(asyncio.Transport):
    """What stands in for the transport of a client that the loop does not know yet."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self.sock = sock
        self.peer = sock.getpeername()
        self.gone = False

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "socket":
            return self.sock
        if name == "peername":
            return self.peer
        if name == "sockname":
            return self.sock.getsockname()
        return default

    def is_closing(self) -> bool:
        return self.gone

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sock.send(data)

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def abort(self) -> None:
        self.gone = True
        self.sock.close()

    def close(self) -> None:
        self.abort()


class BusyService:
    """One time of trouble: from the first poll to the hand-over."""

    def __init__(
        self,
        accept: Callable[[], Connection],
        servers: Iterable[asyncio.AbstractServer],
        connections: Mapping[int, Connection],
        unannounced: Iterable[Connection] = (),
    ) -> None:
        """Poll the sockets that servers and connections have now; `unannounced` have no transport yet."""
        self._accept = accept
        self._poll = select.poll()
        self._listeners: dict[int, socket.socket] = {}
        self._clients: dict[int, Connection] = {}
        self._adopted: list[tuple[Connection, _Adopted]] = []
        self._announced_later: list[_Adopted] = []
        known = set()
        for server in servers:
            for listening in getattr(server, "sockets", ()):
                if listening.fileno() >= 0:
                    self._listen(listening.fileno())
        for connection in connections.values():
            sock = connection.transport.get_extra_info("socket") if connection.transport is not None else None
            if sock is None or sock.fileno() < 0:
                continue
            known.add(sock.fileno())
            # A reply of this very tick may wait: its client sends nothing before it has it.
            if connection.serve_directly(sock.fileno(), False):
                self._watch(sock.fileno(), connection)
        waiting = [connection for connection in unannounced if connection.transport is None]
        if waiting and self._listeners:
            self._adopt_unannounced(waiting, known)

    def _adopt_unannounced(self, waiting: list[Connection], known: set[int]) -> None:
        names = {each.getsockname() for each in self._listeners.values()}
        found = [sock for sock in _open_sockets(known) if _was_accepted(sock, names)]
        if len(found) != len(waiting):
            for sock in found:
                sock.close()
            return
        for connection, sock in zip(sorted(waiting, key=lambda each: each.session.id), found, strict=True):
            transport = _Adopted(sock)
            self._announced_later.append(transport)
            connection.stand_in(transport)
            if not connection.is_closed:
                self._watch(sock.fileno(), connection)

    def _listen(self, descriptor: int) -> None:
        listener = socket.socket(fileno=socket.dup(descriptor))
        listener.setblocking(False)
        self._listeners[listener.fileno()] = listener
        self._poll.register(listener.fileno(), select.POLLIN)

    def _watch(self, descriptor: int, connection: Connection) -> None:
        self._clients[descriptor] = connection
        self._poll.register(descriptor, select.POLLIN)

    def serve(self) -> None:
        """Accept and answer whoever is there, without waiting."""
        for descriptor, _ in self._poll.poll(0):
            listener = self._listeners.get(descriptor)
            if listener is not None:
                self._take_in(listener)
            elif not self._clients[descriptor].serve_directly(descriptor):
                self._poll.unregister(descriptor)
                del self._clients[descriptor]

    def _take_in(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        connection = self._accept()
        transport = _Adopted(sock)
        connection.stand_in(transport)
        if connection.is_closed:
            return
        self._adopted.append((connection, transport))
        self._watch(sock.fileno(), connection)

    def hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the clients that came meanwhile to the loop."""
        for listener in self._listeners.values():
            listener.close()
        for later in self._announced_later:
            later.sock.close()  # a second descriptor: the loop has its own
        for connection, transport in self._adopted:
            if not transport.gone:
                loop.create_task(_adopt(loop, connection, transport.sock))


def _open_sockets(known: set[int]) -> Iterator[socket.socket]:
    """Yield the sockets of this process but for those known, as second descriptors, the oldest first."""
    try:
        descriptors = sorted(int(name) for name in os.listdir("/dev/fd"))  # noqa: TID251 (no files)
    except OSError:
        return
    passed_over = set(known)    # ours too: the first gets the number of the listing's own descriptor
    for descriptor in descriptors:
        try:
            if descriptor in passed_over or not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            sock = socket.socket(fileno=socket.dup(descriptor))
        except OSError:
            continue
        sock.setblocking(False)
        passed_over.add(sock.fileno())
        yield sock


def _was_accepted(sock: socket.socket, names: set[Any]) -> bool:
    """Whether a socket was accepted where one of these names listens; if not, it is closed."""
    try:
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        name = sock.getsockname()
        sock.getpeername()
        if not listens and (name in names or _anywhere(name) in names) and not _has_ended(sock):
            return True
    except OSError:
        pass
    sock.close()
    return False


def _has_ended(sock: socket.socket) -> bool:
    """Whether the client has closed its side (the loop may not have had time to forget it)."""
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False


def _anywhere(name: Any) -> Any:
    """Return the name under which a listener on all addresses is known."""
    if not isinstance(name, tuple):
        return name
    return ("::" if ":" in name[0] else "0.0.0.0", *name[1:])


async def _adopt(loop: asyncio.AbstractEventLoop, connection: Connection, sock: socket.socket) -> None:
    await loop.connect_accepted_socket(lambda: connection, sock)
