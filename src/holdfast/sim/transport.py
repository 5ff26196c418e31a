"""The face of a transport: what programs ask of it and set on it.

What this is: the base of `endpoint.Endpoint`: names, protocol, limits and the calls
that tell the protocol to pause. What it is not: reading, writing or closing.

How to read it: names and defaults are asyncio's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import TYPE_CHECKING, Any, cast

from holdfast.sim.sockets import SimSocket

if TYPE_CHECKING:
    from holdfast.sim.life import Life

HIGH_WATER_BYTES = 64 * 1024


class TransportFace(asyncio.Transport):
    """A transport without its bytes."""

    __slots__ = (
        "_buffered",
        "_closing",
        "_context",
        "_high_water",
        "_low_water",
        "_peername",
        "_protocol",
        "_reading",
        "_received",
        "_sockname",
        "held_bytes",
        "life",
        "loop",
    )

    def __init__(
        self, life: Life, context: Context, sockname: tuple[str, int], peername: tuple[str, int]
    ) -> None:
        """Make the face of a connection of `life`, whose protocol runs in `context`."""
        self.loop = life.loop
        self.life = life
        self._context = context
        self._sockname = sockname
        self._peername = peername
        self._protocol: asyncio.BaseProtocol | None = None
        self._received: Callable[[bytes], object] | None = None
        self._buffered = False
        self.held_bytes = 0
        self._reading = True
        self._closing = False
        self._high_water = HIGH_WATER_BYTES
        self._low_water = HIGH_WATER_BYTES // 4

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol)
        self._received = None if self._buffered else cast(asyncio.Protocol, protocol).data_received

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "peername":
            return self._peername
        if name == "sockname":
            return self._sockname
        if name == "socket":
            return SimSocket(self._sockname, self._peername)
        return default

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = HIGH_WATER_BYTES if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high_water = high
        self._low_water = low

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return (self._low_water, self._high_water)

    def get_write_buffer_size(self) -> int:
        return self.held_bytes

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def _tell(self, method: str) -> None:
        loop = self.loop
        before, loop.life = loop.life, self.life
        call = getattr(self._protocol, method)
        try:
            # A program that writes is already inside its context, which cannot be entered twice.
            self._context.copy().run(call)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.loop.call_exception_handler(
                {"message": f"protocol.{method}() failed", "exception": error, "transport": self}
            )
        finally:
            loop.life = before
