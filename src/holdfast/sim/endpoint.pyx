"""One end of a connection: the asyncio transport and the socket below it.

What this is: a transport with the manners of asyncio's selector transport (flow control
with high and low water, half-close, `connection_lost` always through the loop; names and
defaults are asyncio's own), and what a kernel does with the socket when its process closes
it, dies or loses power. What it is not: the way between two ends (`flow`).

How to read it: `held` is the program's write buffer, filled when the window is full
or the process is blocked; `unread` is the kernel's receive buffer. The socket is
`closed` when the process has let go of it (the kernel still sends what it has) and
`gone` when its host lost power. A socket that is closed with unread bytes, or that
gets bytes after it was closed, answers with a reset, as Linux does.
"""

import asyncio
import errno
import zlib

from cpython.contextvars cimport PyContext_Enter, PyContext_Exit
from holdfast.sim.flow cimport Flow, Socket
from holdfast.sim.life cimport Life

from holdfast.sim.flow import FIN, OPEN, RESET
from holdfast.sim.sockets import SimSocket

cdef enum:
    HIGH_WATER_BYTES = 64 * 1024


cdef class Endpoint(Socket):
    """One end of a connection."""

    def __init__(self, network, Life life, context, tuple sockname, tuple peername):
        """Make an end that belongs to `life`; `join` and `attach` complete it."""
        self.network = network
        self.life = life
        self.loop = life.loop
        self.interface = life.interface
        self.context = context
        self.sockname = sockname
        self.peername = peername
        self.held = []
        self.unread = []
        self.reading = True
        self.high_water = HIGH_WATER_BYTES
        self.low_water = HIGH_WATER_BYTES // 4

    def join(self, *, Flow out, Flow into):
        """Set the two directions."""
        self.out = out
        self.into = into

    def attach(self, protocol):
        """Give the transport its protocol and tell it so."""
        self.set_protocol(protocol)
        protocol.connection_made(self)
        if self.unread:
            self.loop.push(self.loop.now, self.read, None)

    # ---- what programs ask of it and set on it ----

    def set_protocol(self, protocol):
        """Hand what comes to another protocol."""
        self.protocol = protocol
        self.received = None if isinstance(protocol, asyncio.BufferedProtocol) else protocol.data_received

    def get_protocol(self):
        """Return who is handed what comes."""
        return self.protocol

    def get_extra_info(self, name, default=None):
        """Return an address, or an object that can be asked as a socket is."""
        if name == "peername":
            return self.peername
        if name == "sockname":
            return self.sockname
        if name == "socket":
            return SimSocket(self.sockname, self.peername)
        return default

    def is_reading(self):
        """Tell whether the protocol is handed what comes."""
        return self.reading and not self.closing

    def is_closing(self):
        """Tell whether it is closed, or will be."""
        return self.closing

    def can_write_eof(self):
        """Return True."""
        return True

    def set_write_buffer_limits(self, high=None, low=None):
        """Set when the protocol is told to pause, and when to go on, in bytes."""
        if high is None:
            high = HIGH_WATER_BYTES if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self.high_water = high
        self.low_water = low

    def get_write_buffer_limits(self):
        """Return the limits, the lower first."""
        return (self.low_water, self.high_water)

    def get_write_buffer_size(self):
        """Return how many bytes wait."""
        return self.held_bytes

    cdef int tell(self, str method) except -1:
        loop = self.loop
        before, loop.life = loop.life, self.life
        call = getattr(self.protocol, method)
        try:
            # A program that writes is already inside its context, which cannot be entered twice.
            self.context.copy().run(call)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.loop.call_exception_handler(
                {"message": f"protocol.{method}() failed", "exception": error, "transport": self}
            )
        finally:
            loop.life = before
        return 0

    # ---- receiving ----

    cpdef read(self, _):
        """Hand unread bytes to the program, as far as it wants them."""
        cdef list unread = self.unread
        cdef Life life = self.life
        before = self.loop.life
        try:
            while unread:
                if life.blocked:
                    if not life.dead:
                        life.readable[self] = None
                    return
                item = unread[0]
                if self.protocol is None:
                    if item is not OPEN or self.listener is None:
                        return  # the client's program has not taken the connection yet
                    del unread[0]
                    self.loop.life = life
                    self.context.run(self.listener.accept, self)
                elif not self.reading or self.closing or self.read_due:
                    return
                elif type(item) is list:
                    self.loop.life = life
                    self.read_bytes(unread)
                else:
                    del unread[0]
                    self.loop.life = life
                    if item is FIN:
                        self.read_eof()
                    else:
                        self.fail(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
        finally:
            self.loop.life = before

    cdef int read_bytes(self, list unread) except -1:
        cdef list item = <list>unread.pop(0)
        cdef bytes received
        cdef double rate = self.life.read_bytes_per_second
        cdef Py_ssize_t limit = self.network.read_bytes
        while unread and type(unread[0]) is list:
            item.extend(<list>unread.pop(0))
        received = <bytes>item[0] if len(item) == 1 else b"".join(item)
        if rate:
            limit = min(limit, max(1, <Py_ssize_t>(rate / 10)))
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
            self.give(received)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.protocol_failed(error, "protocol.data_received()")
        return 0

    cdef int give(self, bytes received) except -1:
        context = self.context
        PyContext_Enter(context)
        try:
            if self.received is None:
                self.fill_buffer(received)
            else:
                self.received(received)
        finally:
            PyContext_Exit(context)
        return 0

    def _describe(self, bytes received):
        port = self.sockname[1] if self.listener is not None else self.peername[1]
        crc = zlib.crc32(received)
        return f"received {len(received)} bytes {crc:08x} from {self.peername[0]} port {port}"

    cdef int fill_buffer(self, bytes received) except -1:
        protocol = self.protocol
        view = memoryview(received)
        while len(view):
            buffer = memoryview(protocol.get_buffer(len(view)))
            if not len(buffer):
                raise RuntimeError("get_buffer() returned an empty buffer")
            size = min(len(buffer), len(view))
            buffer[:size] = view[:size]
            protocol.buffer_updated(size)
            view = view[size:]
        return 0

    def _read_on(self, _):
        self.read_due = False
        self.read(None)

    cdef int read_eof(self) except -1:
        try:
            keep_open = self.context.run(self.protocol.eof_received)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.protocol_failed(error, "protocol.eof_received()")
            return 0
        if not keep_open:
            self.close()
        return 0

    cdef int protocol_failed(self, error, where) except -1:
        if isinstance(error, SystemExit) and self.life.exit_handler is not None:
            self.life.exit_handler(error)
            return 0
        self.loop.call_exception_handler(
            {
                "message": f"Fatal error: {where} call failed.",
                "exception": error,
                "transport": self,
                "protocol": self.protocol,
            }
        )
        self.fail(error)
        return 0

    def pause_reading(self):
        """Leave what comes to the kernel."""
        self.reading = False

    def resume_reading(self):
        """Hand out what comes again."""
        if not self.reading and not self.closing:
            self.reading = True
            if self.unread:
                self.loop.push(self.loop.now, self.read, None)

    # ---- sending ----

    cpdef write(self, data):
        """Send bytes, or keep them until there is room."""
        cdef Life life = self.life
        cdef Flow out = self.out
        cdef bytes chunk
        cdef Py_ssize_t size, room
        if self.eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        chunk = <bytes>data if type(data) is bytes else bytes(memoryview(data))
        size = len(chunk)
        if not size or self.is_lost or life.dead:
            return
        if self.broken:
            self.fail(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
            return
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
        if self.held_bytes > self.high_water and not self.protocol_paused:
            self.protocol_paused = True
            self.tell("pause_writing")

    def writelines(self, list_of_data):
        """Send several pieces."""
        self.write(b"".join(list_of_data))

    @property
    def ends_later(self):
        """Whether the program ended its side while it was blocked, and the peer is still to be told."""
        return self.eof_written and not self.fin_sent

    cpdef flush(self, _):
        """Send held bytes as far as the window has room."""
        cdef Flow out = self.out
        cdef list held = self.held
        cdef Py_ssize_t room
        cdef bytes chunk
        if self.life.blocked or self.is_lost:
            return
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
        if self.protocol_paused and self.held_bytes <= self.low_water:
            self.protocol_paused = False
            self.tell("resume_writing")
        if not held:
            if self.closing:
                self.lose_soon(None)
            elif self.eof_written:
                self.send_fin()

    def write_eof(self):
        """End the own side; what waits still goes."""
        if self.closing or self.eof_written:
            return
        self.eof_written = True
        if not self.held and not self.life.blocked:
            self.send_fin()

    # ---- ending ----

    def close(self):
        """Close when everything has been sent."""
        if self.closing or self.life.dead:
            return
        self.closing = True
        if not self.held:
            self.lose_soon(None)

    def abort(self):
        """Close at once."""
        self.fail(None)

    cpdef fail(self, error):
        """Close at once; what is held is thrown away."""
        if self.is_lost or self.life.dead:
            return
        self.held.clear()
        self.held_bytes = 0
        self.closing = True
        self.lose_soon(error)

    cdef int lose_soon(self, error) except -1:
        if not self.is_lost:
            self.is_lost = True
            self.loop.call_soon(self._lost, error, context=self.context)
        return 0

    def _lost(self, error):
        try:
            if self.protocol is not None:
                self.protocol.connection_lost(error if isinstance(error, Exception) else None)
        finally:
            self.life.endpoints.pop(self, None)
            self.shut_socket()

    cpdef shut_socket(self):
        """Close the socket as the kernel does when the process lets go of it."""
        if self.closed:
            return
        self.closed = True
        self.held.clear()
        self.leave_backlog()
        for item in self.unread:
            if type(item) is list:
                self.out.reset_sink()
                self.into.retire()
                break
        else:
            if self.broken:
                self.out.retire()
                self.into.retire()
            else:
                self.send_fin()
        self.unread.clear()
        self.report("closed")

    cdef int send_fin(self) except -1:
        if not self.fin_sent:
            self.fin_sent = True
            self.out.send_mark(FIN)
        return 0

    def vanish(self):
        """Lose power: what is on the wire still arrives, nothing else is ever said."""
        self.closed = self.gone = True
        self.held.clear()
        self.unread.clear()
        self.leave_backlog()
        if self.out.lost_since is not None:
            self.out.retire()

    cpdef send_reset(self):
        """Answer bytes that came for a socket that is not there."""
        self.out.reset_sink()

    cpdef reset(self):
        """Take a reset from the peer; the program notices after it has read what came before."""
        if self.closed or self.broken:
            return
        self.broken = True
        self.out.retire()
        self.into.retire()
        self.report("reset by peer")
        self.unread.append(RESET)
        self.read(None)
        if self.held:
            self.flush(None)

    cdef int leave_backlog(self) except -1:
        if self.listener is not None:
            self.listener.waiting.pop(self, None)
        return 0

    cdef int report(self, str what) except -1:
        if self.network.log is not None:
            self.network.log(self.life.name, f"{what} {self.peername[0]}:{self.peername[1]}")
        return 0
