"""The clients of one node: who may come in, who has to go, who is there.

What it is: what a `Connection` reports to (`connection_opened`, `output_waits`,
`connection_closed`), and the limits of redis.conf: maxclients, protected-mode,
timeout, client-output-buffer-limit, maxmemory-clients. What it is not: moving
bytes, and the CLIENT command, which asks here.

Memory stays bounded: replies of a pipeline stop at OUTPUT_PAUSE (the session
executes no further), pushes at the limit of the client's class. MONITOR has the
limit of pub/sub where Redis has none by default.

How to read it: opening, limits, closing, then what the cron does.
"""

from __future__ import annotations

import socket
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from holdfast.engine import blocking, sessions
from holdfast.engine.state import Session
from holdfast.server.config.lists import OutputLimit
from holdfast.server.connection import Connection

if TYPE_CHECKING:
    from holdfast.server.node import Node

CONNECTION_BYTES = 2800
"""What one client costs beside its buffers, for maxmemory-clients and INFO (measured, rounded)."""

MONITOR_LIMIT = OutputLimit(32 << 20, 8 << 20, 60)
"""Of a MONITOR where the class `normal` has no limit."""

QUIET_MS = 200
"""A client that was silent so long has no request on its way."""
LOOKS_MOST = 10
PROXY = b"holdfast-proxy"
"""What our proxy calls itself (CLIENT SETINFO LIB-NAME)."""

TOO_MANY = b"-ERR max number of clients reached\r\n"
PROTECTED = (
    b"-DENIED Redis is running in protected mode because protected "
    b"mode is enabled and no password is set for the default user. "
    b"In this mode connections are only accepted from the loopback interface. "
    b"If you want to connect from external computers to Redis you "
    b"may adopt one of the following solutions: "
    b"1) Just disable protected mode sending the command "
    b"'CONFIG SET protected-mode no' from the loopback interface "
    b"by connecting to Redis from the same host the server is "
    b"running, however MAKE SURE Redis is not publicly accessible "
    b"from internet if you do so. Use CONFIG REWRITE to make this "
    b"change permanent. "
    b"2) Alternatively you can just disable the protected mode by "
    b"editing the Redis configuration file, and setting the protected "
    b"mode option to 'no', and then restarting the server. "
    b"3) If you started the server manually just for testing, restart "
    b"it with the '--protected-mode no' option. "
    b"4) Set up an authentication password for the default user. "
    b"NOTE: You only need to do one of the above things in order for "
    b"the server to start accepting connections from the outside.\r\n"
)


class Clients:
    """The connections of one node.

    - `connections` holds exactly those that are open, by session id.
    - `waiting` holds those whose output passed a limit's soft bound or waits for the transport.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self.connections: dict[int, Connection] = {}
        self.waiting: dict[int, Connection] = {}
        self.expected: weakref.WeakSet[Connection] = weakref.WeakSet()
        """Those that the loop has accepted and not yet announced."""
        self.on_close: list[Callable[[Session], None]] = []
        """Told of each session that goes."""
        self._partings = 0
        """How often clients were sent away, or might stay after all."""
        self.rejected = 0
        self.evicted = 0
        self.auth_failures = 0
        node.configuration.on_change(("tcp-keepalive",), lambda _: self._keep_all_alive())

    # ---- opening ----

    def connection_opened(self, connection: Connection) -> None:
        """Take a new client in, or send it away with a word."""
        self.expected.discard(connection)
        session = connection.session
        host = self._set_addresses(session, connection.transport)
        refusal = self._refusal(host)
        if refusal:
            self.rejected += 1
            connection.refuse(refusal)
            return
        engine = self._node.engine
        engine.stat_connections += 1
        engine.sessions[session.id] = session
        self.connections[session.id] = connection
        session.user = b"default"
        if not self._node.configuration.default_user.nopass:
            session.guard |= sessions.NOT_AUTHENTICATED
        self._keep_alive(connection)

    def _refusal(self, host: str | None) -> bytes:
        configuration = self._node.configuration
        if len(self.connections) >= configuration["maxclients"]:
            return TOO_MANY
        stranger = host is not None and not host.startswith(("127.", "::ffff:127.")) and host != "::1"
        if stranger and configuration["protected-mode"] and configuration.default_user.nopass:
            return PROTECTED
        return b""

    def _set_addresses(self, session: Session, transport: Any) -> str | None:
        """Note both ends as CLIENT LIST shows them; return the peer's host, None on a unix socket."""
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            session.address = shown_address(peer)
            session.local_address = shown_address(transport.get_extra_info("sockname"))
            return str(peer[0])
        session.flags |= sessions.UNIX
        session.address = session.local_address = f"{self._node.configuration.path('unixsocket')}:0"
        return None

    def _keep_alive(self, connection: Connection) -> None:
        seconds = self._node.configuration["tcp-keepalive"]
        link = connection.transport.get_extra_info("socket")
        if link is None or connection.session.flags & sessions.UNIX:
            return
        try:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1 if seconds else 0)
            if seconds and hasattr(socket, "TCP_KEEPIDLE"):
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(seconds // 3, 1))
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        except (OSError, AttributeError):
            return  # a transport without such options (a simulated one)

    def _keep_all_alive(self) -> None:
        for connection in self.connections.values():
            self._keep_alive(connection)

    # ---- limits ----

    def client_class(self, session: Session) -> str:
        """The class whose output limit counts: normal, replica, pubsub or primary."""
        if session.flags & sessions.PRIMARY:
            return "primary"
        if session.flags & sessions.REPLICA:
            return "replica"
        return "pubsub" if session.flags & sessions.PUBSUB else "normal"

    def output_limit(self, session: Session) -> OutputLimit:
        """What may wait for this client."""
        name = self.client_class(session)
        if name == "primary":
            return OutputLimit(0, 0, 0)
        limit: OutputLimit = getattr(self._node.configuration["client-output-buffer-limit"], name)
        if session.flags & sessions.MONITOR and not limit.hard_bytes and not limit.soft_bytes:
            return MONITOR_LIMIT
        return limit

    def output_waits(self, connection: Connection) -> None:
        """Judge a client that does not take its replies; mark it for closing when it is over its limit."""
        session = connection.session
        self.waiting[session.id] = connection
        waiting_bytes = session.output_bytes + connection.write_buffer_bytes
        limit = self.output_limit(session)
        over = limit.hard_bytes and waiting_bytes >= limit.hard_bytes
        if limit.soft_bytes and waiting_bytes >= limit.soft_bytes:
            now_ms = self._node.engine.now_ms
            session.output_soft_since_ms = session.output_soft_since_ms or now_ms
            over = over or now_ms - session.output_soft_since_ms > limit.soft_seconds * 1000
        else:
            session.output_soft_since_ms = 0
        if over and not session.flags & sessions.CLOSING:
            session.flags |= sessions.CLOSING
            sessions.close_soon(session)
            self._node.log.warning(
                f"Client id={session.id} addr={session.address} scheduled to be closed ASAP for "
                f"overcoming of "
                f"output buffer limits ({waiting_bytes} bytes wait)."
            )

    def memory_of(self, connection: Connection) -> int:
        """Bytes that one client takes."""
        return CONNECTION_BYTES + connection.session.buffer_bytes + connection.write_buffer_bytes

    @property
    def memory_limit(self) -> int:
        """`maxmemory-clients` in bytes, 0 for none."""
        limit: int = self._node.configuration["maxmemory-clients"]
        return limit if limit >= 0 else self._node.configuration["maxmemory"] * -limit // 100

    # ---- closing ----

    def close(self, session: Session) -> None:
        """End a client now; the one whose command is running ends after its reply."""
        connection = self.connections.get(session.id)
        if connection is not None:
            connection.abort()

    def send_away(self) -> None:
        """End all clients of a node that leads no more, none with a request under way.

        Until a client has been silent for `QUIET_MS` its requests for data are answered with
        -READONLY: so it knows that they were not executed, where a closed connection leaves it in doubt.
        Who goes on for `LOOKS_MOST` times as long knows whom it speaks to, and may stay. Our proxy leaves
        by itself when it knows the new primary, so it is answered until then: one that got no processor may
        write in the moment in which we would close.
        """
        self._partings += 1
        leaving = {
            each: each.session.bytes_in
            for each in self.connections.values()
            if self.client_class(each.session) in ("normal", "pubsub")
        }
        for each in leaving:
            each.session.guard |= sessions.SENT_AWAY
        leaving = {each: size for each, size in leaving.items() if each.session.lib_name != PROXY}
        self._node.loop.call_later(QUIET_MS / 1000, self._look_for_quiet, leaving, LOOKS_MOST, self._partings)

    def keep(self) -> None:
        """Let all clients stay: the node leads."""
        self._partings += 1
        for each in self.connections.values():
            each.session.guard &= ~sessions.SENT_AWAY

    def _look_for_quiet(self, leaving: dict[Connection, int], looks: int, parting: int) -> None:
        quiet, left = {}, {}
        for connection, bytes_in in leaving.items():
            if connection.session.id not in self.connections:
                continue
            if self._is_quiet(connection, bytes_in):
                quiet[connection] = bytes_in
            else:
                left[connection] = connection.session.bytes_in
        # On a busy machine a timer is late, and may run before sockets are read: what has come is read first.
        loop = self._node.loop
        loop.call_soon(loop.call_soon, self._close_quiet, quiet, left, looks, parting)

    def _close_quiet(
        self, quiet: dict[Connection, int], left: dict[Connection, int], looks: int, parting: int
    ) -> None:
        if parting != self._partings:
            return
        for connection, bytes_in in quiet.items():
            if connection.session.id not in self.connections:
                continue
            if self._is_quiet(connection, bytes_in):
                connection.abort()
            else:
                left[connection] = connection.session.bytes_in
        if looks > 1 and left:
            self._node.loop.call_later(QUIET_MS / 1000, self._look_for_quiet, left, looks - 1, parting)
        elif left:
            for connection in left:
                connection.session.guard &= ~sessions.SENT_AWAY

    def _is_quiet(self, connection: Connection, bytes_in: int) -> bool:
        """Whether nothing came since that count, and nothing waits to go out."""
        session = connection.session
        return session.bytes_in == bytes_in and not (session.output_bytes or connection.write_buffer_bytes)

    def connection_closed(self, connection: Connection, why: BaseException | None) -> None:
        """Forget a client that went or was sent away."""
        session = connection.session
        if self.connections.pop(session.id, None) is None:
            return
        self.waiting.pop(session.id, None)
        blocking.abandon(session)
        sessions.release(session)
        self._node.engine.sessions.pop(session.id, None)
        for told in self.on_close:
            told(session)

    # ---- by the clock ----

    def each_second(self) -> None:
        """Close who is idle too long, or takes no output for too long."""
        for connection in list(self.waiting.values()):
            if connection.session.output_bytes or connection.write_buffer_bytes:
                self.output_waits(connection)
            else:
                connection.session.output_soft_since_ms = 0
                del self.waiting[connection.session.id]
        idle_max_s = self._node.configuration["timeout"]
        if idle_max_s:
            self._close_idle(self._node.engine.now_ms - idle_max_s * 1000)

    def _close_idle(self, since_ms: int) -> None:
        spared = sessions.REPLICA | sessions.PRIMARY | sessions.BLOCKED | sessions.PUBSUB | sessions.MONITOR
        for connection in list(self.connections.values()):
            session = connection.session
            if session.active_ms < since_ms and not session.flags & spared:
                self._node.log.verbose("Closing idle client")
                connection.abort()

    def each_beat(self) -> None:
        """Evict the largest clients while all together take more than maxmemory-clients."""
        limit = self.memory_limit
        if not limit:
            return
        sizes = {number: self.memory_of(each) for number, each in self.connections.items()}
        total = sum(sizes.values())
        if total <= limit:
            return
        spared = sessions.REPLICA | sessions.PRIMARY | sessions.NO_EVICT
        for number in sorted(sizes, key=lambda each: -sizes[each]):
            connection = self.connections.get(number)
            if total <= limit:
                break
            if connection is None or connection.session.flags & spared:
                continue
            self._node.log.notice(f"Evicting client: id={number} addr={connection.session.address}")
            total -= sizes[number]
            self.evicted += 1
            connection.abort()


def shown_address(address: Any) -> str:
    """Return host and port as Redis writes them."""
    if not isinstance(address, tuple):
        return "?:0"
    host = f"[{address[0]}]" if ":" in str(address[0]) else address[0]
    return f"{host}:{address[1]}"
