"""One end of a connection: the asyncio transport and the socket below it.

What this is: `asyncio.Transport` with the manners of asyncio's selector transport
(flow control with high and low water, half-close, `connection_lost` always through
the loop), and what a kernel does with the socket when its process closes it, dies
or loses power. What it is not: the way between two ends (`flow`).

How to read it: `held` is the program's write buffer, filled when the window is full
or the process is blocked; `unread` is the kernel's receive buffer. The socket is
`closed` when the process has let go of it (the kernel still sends what it has) and
`gone` when its host lost power. A socket that is closed with unread bytes, or that
gets bytes after it was closed, answers with a reset, as Linux does.
"""

from __future__ import annotations

import asyncio
import errno
import zlib
from contextvars import Context
from typing import TYPE_CHECKING, Any, cast

from holdfast.sim.flow import FIN, OPEN, RESET, Flow
from holdfast.sim.transport import TransportFace

if TYPE_CHECKING:
    from holdfast.sim.life import Life
    from holdfast.sim.listener import Listener
    from holdfast.sim.network import Network


class Endpoint(TransportFace):
    """One end of a connection."""

    __slots__ = (
        "_conn_lost",
        "_eof_written",
        "_fin_sent",
        "_protocol_paused",
        "broken",
        "closed",
        "gone",
        "held",
        "interface",
        "into",
        "listener",
        "network",
        "out",
        "read_due",
        "unread",
    )

    out: Flow
    into: Flow

    def __init__(
        self,
        network: Network,
        life: Life,
        context: Context,
        sockname: tuple[str, int],
        peername: tuple[str, int],
    ) -> None:
        """Make an end that belongs to `life`; `join` and `attach` complete it."""
        super().__init__(life, context, sockname, peername)
        self.network = network
        self.interface = life.interface
        self.listener: Listener | None = None
        self.held: list[bytes] = []
        self.unread: list[list[bytes] | str] = []
        self.read_due = False
        self._conn_lost = False
        self._eof_written = False
        self._fin_sent = False
        self._protocol_paused = False
        self.closed = False
        self.gone = False
        self.broken = False
        """The peer has reset the connection; the program may not know yet."""

    def join(self, *, out: Flow, into: Flow) -> None:
        """Set the two directions."""
        self.out = out
        self.into = into

    def attach(self, protocol: asyncio.BaseProtocol) -> None:
        """Give the transport its protocol and tell it so."""
        self.set_protocol(protocol)
        protocol.connection_made(self)
        if self.unread:
            self.loop.push(self.loop.now, self.read, None)

    # Receiving

    def read(self, _: None) -> None:
        """Hand unread bytes to the program, as far as it wants them."""
        unread = self.unread
        life = self.life
        loop = self.loop
        before = loop.life
        try:
            while unread:
                if life.blocked:
                    if not life.dead:
                        life.readable[self] = None
                    return
                item = unread[0]
                if self._protocol is None:
                    if item is not OPEN or self.listener is None:
                        return  # the client's program has not taken the connection yet
                    unread.pop(0)
                    loop.life = life
                    self._context.run(self.listener.accept, self)
                elif not self._reading or self._closing or self.read_due:
                    return
                elif type(item) is list:
                    loop.life = life
                    self._read_bytes(unread, item)
                else:
                    unread.pop(0)
                    loop.life = life
                    if item is FIN:
                        self._read_eof()
                    else:
                        self.fail(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
        finally:
            loop.life = before

    def _read_bytes(self, unread: list[list[bytes] | str], item: list[bytes]) -> None:
        unread.pop(0)
        while unread and type(unread[0]) is list:
            item.extend(cast("list[bytes]", unread.pop(0)))
        received = item[0] if len(item) == 1 else b"".join(item)
        rate = self.life.read_bytes_per_second
        limit = self.network.read_bytes
        if rate:
            limit = min(limit, max(1, int(rate / 10)))
        if len(received) > limit:
            unread.insert(0, [received[limit:]])
            received = received[:limit]
        if rate:
            self.read_due = True
            self.loop.push(self.loop.now + len(received) / rate, self._read_on, None)
        if self.network.log_bytes is not None:
            self.network.log_bytes(self.life.name, self._describe(received))
        self.into.consumed(len(received))
        try:
            if self._buffered:
                self._context.run(self._fill_buffer, received)
            else:
                self._context.run(self._received, received)  # type: ignore[arg-type]
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._protocol_failed(error, "protocol.data_received()")

    def _describe(self, received: bytes) -> str:
        port = self._sockname[1] if self.listener is not None else self._peername[1]
        return (
            f"received {len(received)} bytes {zlib.crc32(received):08x} from {self._peername[0]} port {port}"
        )

    def _fill_buffer(self, received: bytes) -> None:
        protocol = cast(asyncio.BufferedProtocol, self._protocol)
        view = memoryview(received)
        while view:
            buffer = memoryview(protocol.get_buffer(len(view)))
            if not len(buffer):
                raise RuntimeError("get_buffer() returned an empty buffer")
            size = min(len(buffer), len(view))
            buffer[:size] = view[:size]
            protocol.buffer_updated(size)
            view = view[size:]

    def _read_on(self, _: None) -> None:
        self.read_due = False
        self.read(None)

    def _read_eof(self) -> None:
        try:
            keep_open = self._context.run(self._protocol.eof_received)  # type: ignore[union-attr]
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._protocol_failed(error, "protocol.eof_received()")
            return
        if not keep_open:
            self.close()

    def _protocol_failed(self, error: BaseException, where: str) -> None:
        if isinstance(error, SystemExit) and self.life.exit_handler is not None:
            self.life.exit_handler(error)
            return
        self.loop.call_exception_handler(
            {
                "message": f"Fatal error: {where} call failed.",
                "exception": error,
                "transport": self,
                "protocol": self._protocol,
            }
        )
        self.fail(error)

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if not self._reading and not self._closing:
            self._reading = True
            if self.unread:
                self.loop.push(self.loop.now, self.read, None)

    # Sending

    def write(self, data: Any) -> None:
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        life = self.life
        size = len(data) if type(data) is bytes else memoryview(data).nbytes
        if not size or self._conn_lost or life.dead:
            return
        if self.broken:
            self._fail_soon()
            return
        out = self.out
        chunk = data if type(data) is bytes else bytes(data)
        if not self.held and not life.blocked:
            room = out.window_bytes - out.outstanding
            if room >= size:
                out.send(chunk)
                return
            if room > 0:
                out.send(chunk[:room])
                chunk = chunk[room:]
        self.held.append(chunk)
        self.held_bytes += len(chunk)
        if self.held_bytes > self._high_water and not self._protocol_paused:
            self._protocol_paused = True
            self._tell("pause_writing")

    @property
    def ends_later(self) -> bool:
        """Whether the program ended its side while it was blocked, and the peer is still to be told."""
        return self._eof_written and not self._fin_sent

    def flush(self, _: None) -> None:
        """Send held bytes as far as the window has room."""
        if self.life.blocked or self._conn_lost:
            return
        out, held = self.out, self.held
        if self.broken:
            if held:
                self.fail(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
            return
        while held:
            room = out.window_bytes - out.outstanding
            if room <= 0:
                break
            chunk = held.pop(0)
            if len(chunk) > room:
                held.insert(0, chunk[room:])
                chunk = chunk[:room]
            self.held_bytes -= len(chunk)
            out.send(chunk)
        if self._protocol_paused and self.held_bytes <= self._low_water:
            self._protocol_paused = False
            self._tell("resume_writing")
        if not held:
            if self._closing:
                self._lose_soon(None)
            elif self._eof_written:
                self._send_fin()

    def write_eof(self) -> None:
        if self._closing or self._eof_written:
            return
        self._eof_written = True
        if not self.held and not self.life.blocked:
            self._send_fin()

    # Ending

    def close(self) -> None:
        if self._closing or self.life.dead:
            return
        self._closing = True
        if not self.held:
            self._lose_soon(None)

    def abort(self) -> None:
        self.fail(None)

    def fail(self, error: BaseException | None) -> None:
        """Close at once; what is held is thrown away."""
        if self._conn_lost or self.life.dead:
            return
        self.held.clear()
        self.held_bytes = 0
        self._closing = True
        self._lose_soon(error)

    def _fail_soon(self) -> None:
        self.fail(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))

    def _lose_soon(self, error: BaseException | None) -> None:
        if not self._conn_lost:
            self._conn_lost = True
            self.loop.call_soon(self._lost, error, context=self._context)

    def _lost(self, error: BaseException | None) -> None:
        try:
            if self._protocol is not None:
                self._protocol.connection_lost(error if isinstance(error, Exception) else None)
        finally:
            self.life.endpoints.pop(self, None)
            self.shut_socket()

    def shut_socket(self) -> None:
        """Close the socket as the kernel does when the process lets go of it."""
        if self.closed:
            return
        self.closed = True
        self.held.clear()
        self._leave_backlog()
        if any(type(item) is list for item in self.unread):
            self.out.reset_sink()
            self.into.retire()
        elif self.broken:
            self.out.retire()
            self.into.retire()
        else:
            self._send_fin()
        self.unread.clear()
        self._report("closed")

    def _send_fin(self) -> None:
        if not self._fin_sent:
            self._fin_sent = True
            self.out.send_mark(FIN)

    def vanish(self) -> None:
        """Lose power: what is on the wire still arrives, nothing else is ever said."""
        self.closed = self.gone = True
        self.held.clear()
        self.unread.clear()
        self._leave_backlog()
        if self.out.lost_since is not None:
            self.out.retire()

    def send_reset(self) -> None:
        """Answer bytes that came for a socket that is not there."""
        self.out.reset_sink()

    def reset(self) -> None:
        """Take a reset from the peer; the program notices after it has read what came before."""
        if self.closed or self.broken:
            return
        self.broken = True
        self.out.retire()
        self.into.retire()
        self._report("reset by peer")
        self.unread.append(RESET)
        self.read(None)
        if self.held:
            self.flush(None)

    def _leave_backlog(self) -> None:
        if self.listener is not None:
            self.listener.waiting.pop(self, None)

    def _report(self, what: str) -> None:
        if self.network.log is not None:
            self.network.log(self.life.name, f"{what} {self._peername[0]}:{self._peername[1]}")
