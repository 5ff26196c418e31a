"""Who is where, and which way between whom is open.

What this is: names and addresses of hosts, the directed links between them with
their latency, bandwidth and cuts, and the three-way handshake. What it is not: the
bytes on an established connection (`flow`), nor the transports that programs hold
(`endpoint`).

How to read it: `Interface` is a host's place on the network, `flow.Link` one direction
between two hosts, `Attempt` a connection being made, `Network` holds them. A cut
drops packets in silence, so an attempt hangs and tries again after 1, 2, 4 … seconds
as Linux does (tcp_syn_retries = 6, which ends in ETIMEDOUT after 127 s), while a
host that is up and has no listener answers at once that it refuses.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import random
import socket
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING

from holdfast.sim.endpoint import Endpoint
from holdfast.sim.flow import OPEN, Flow, Link

if TYPE_CHECKING:
    import asyncio

    from holdfast.sim.life import Life
    from holdfast.sim.listener import Listener
    from holdfast.sim.loop import SimLoop

LOOPBACK_LATENCY_SECONDS = 30e-6
LATENCY_SECONDS = 300e-6
JITTER_SECONDS = 200e-6
WINDOW_BYTES = 256 * 1024
"""What the kernels of both ends hold of one direction before the sender has to wait."""
SYN_RETRIES = 6
FIRST_EPHEMERAL_PORT = 32768
LAST_EPHEMERAL_PORT = 60999

LOOPBACK = ("127.0.0.1", "::1")
EVERYWHERE = ("0.0.0.0", "::")


def os_error(number: int, *more: str) -> OSError:
    """Return the OSError that the operating system would raise."""
    return OSError(number, os.strerror(number), *more)


class Interface:
    """A host's place on the network."""

    __slots__ = ("addresses", "down", "listeners", "name", "next_port")

    def __init__(self, name: str, address: str) -> None:
        """Make a host `name` that is reached at `address`."""
        self.name = name
        self.addresses = [address]
        self.down = False
        """Without power: answers nothing."""
        self.listeners: dict[int, list[Listener]] = {}
        self.next_port = FIRST_EPHEMERAL_PORT

    def free_port(self) -> int:
        """Return a port that nothing listens on."""
        for _ in range(LAST_EPHEMERAL_PORT - FIRST_EPHEMERAL_PORT + 1):
            port = self.next_port
            self.next_port = port + 1 if port < LAST_EPHEMERAL_PORT else FIRST_EPHEMERAL_PORT
            if port not in self.listeners:
                return port
        raise os_error(errno.EADDRINUSE)

    def listener_at(self, address: str, port: int) -> Listener | None:
        """Return who accepts connections to `address` and `port`, if anybody does."""
        for listener in self.listeners.get(port, ()):
            if listener.address == address:
                return listener
        for listener in self.listeners.get(port, ()):
            if listener.address in EVERYWHERE and (":" in listener.address) == (":" in address):
                return listener
        return None


class Network:
    """All hosts and the links between them."""

    def __init__(self, loop: SimLoop, luck: random.Random) -> None:
        """Make an empty network that draws jitter and loss from `luck`."""
        self.loop = loop
        self.luck = luck.random
        self.latency = LATENCY_SECONDS
        self.jitter = JITTER_SECONDS
        self.window_bytes = WINDOW_BYTES
        self.read_bytes = WINDOW_BYTES
        """Most bytes that a program is handed at once (1 tries every parser)."""
        self.log: Callable[[str, str], None] | None = None
        """Where to report connections that open, fail and end; None keeps silent."""
        self.log_bytes: Callable[[str, str], None] | None = None
        """Where to report every delivery; None keeps silent."""
        self.interfaces: dict[str, Interface] = {}
        self._by_address: dict[str, Interface] = {}
        self._links: dict[tuple[str, str], Link] = {}

    # Names and addresses

    def add(self, name: str, address: str | None = None) -> Interface:
        """Add a host; without `address` it gets the next one of 10.0.0.0/8."""
        if name in self.interfaces:
            raise ValueError(f"there is a host {name!r} already")
        if address is None:
            number = len(self.interfaces) + 1
            address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        interface = Interface(name, address)
        self.interfaces[name] = interface
        self.move_address(address, interface)
        return interface

    def lose_nothing(self) -> None:
        """End the loss and the added jitter of every link."""
        for link in self._links.values():
            link.loss, link.jitter = 0.0, self.jitter

    def move_address(self, address: str, to: Interface | None) -> None:
        """Give `address` to a host (None: to nobody); the former holder loses it."""
        former = self._by_address.pop(address, None)
        if former is not None and former is not to:
            former.addresses.remove(address)
        if to is not None:
            self._by_address[address] = to
            if address not in to.addresses:
                to.addresses.append(address)

    def resolve(self, name: str) -> str:
        """Return the address for a name or an address in text; raise socket.gaierror if unknown."""
        if name in self._by_address or name in LOOPBACK or name in EVERYWHERE:
            return name
        if name == "localhost":
            return "127.0.0.1"
        if name in self.interfaces:
            return self.interfaces[name].addresses[0]
        try:
            return str(ipaddress.ip_address(name))
        except ValueError:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None

    def holder(self, asking: Interface, address: str) -> Interface | None:
        """Return the host that `address` leads to, seen from `asking`."""
        if address in EVERYWHERE or address.startswith("127.") or address == "::1":
            return asking
        return self._by_address.get(address)

    # Links

    def link(self, source: str, target: str) -> Link:
        """Return the link from host `source` to host `target`."""
        link = self._links.get((source, target))
        if link is None:
            if source not in self.interfaces or target not in self.interfaces:
                raise KeyError(f"no such hosts: {source!r}, {target!r}")
            if source == target:
                link = Link(LOOPBACK_LATENCY_SECONDS, 0.0)
                link.reverse = link
            else:
                link = Link(self.latency, self.jitter)
                link.reverse = Link(self.latency, self.jitter)
                link.reverse.reverse = link
                self._links[target, source] = link.reverse
            self._links[source, target] = link
        return link

    def cut(self, source: str, target: str) -> None:
        """Drop from now on what `source` sends to `target`."""
        self.link(source, target).cut = True

    def heal(self, source: str, target: str) -> None:
        """Let packets from `source` to `target` pass again; TCP finds out when it tries again."""
        link = self.link(source, target)
        if link.cut:
            link.cut = False
            for flow in list(link.flows):
                flow.path_opened()
            for flow in list(link.reverse.flows):
                flow.acknowledge()

    def heal_all(self) -> None:
        """Heal every cut."""
        for (source, target), link in list(self._links.items()):
            if link.cut:
                self.heal(source, target)

    def host_up(self, interface: Interface) -> None:
        """Let a host answer again after a power loss."""
        interface.down = False
        for (_, target), link in list(self._links.items()):
            if target == interface.name:
                for flow in list(link.flows):
                    flow.path_opened()

    def reset(self, one: str, other: str) -> None:
        """Reset all connections between two hosts, as a firewall in the middle does."""
        for flow in list(self.link(one, other).flows) + list(self.link(other, one).flows):
            flow.inject_reset()

    def drop_connections(self, one: str, other: str) -> None:
        """Let nothing pass on the connections that two hosts have now, as a firewall that forgot them."""
        there, back = self.link(one, other), self.link(other, one)
        nowhere = Link(there.latency, 0.0)
        nowhere.reverse = Link(back.latency, 0.0)
        nowhere.reverse.reverse = nowhere
        nowhere.cut = nowhere.reverse.cut = True
        for link, dead_end in ((there, nowhere), (back, nowhere.reverse)):
            for flow in link.flows:
                flow.link = dead_end
                dead_end.flows[flow] = None
            link.flows.clear()

    # Making connections

    def connect(
        self, life: Life, context: Context, address: str, port: int, future: asyncio.Future[Endpoint]
    ) -> Attempt:
        """Start to connect; `future` becomes the client's endpoint or an OSError."""
        target = self.holder(life.interface, address)
        attempt = Attempt(self, life, context, target, (address, port), future)
        if target is life.interface and address in EVERYWHERE:
            attempt.address = ("::1" if ":" in address else "127.0.0.1", port)
        self.loop.push(self.loop.local_now(), attempt.send_syn, None)
        return attempt


class Attempt:
    """A connection that is being made."""

    __slots__ = ("address", "context", "future", "life", "link", "network", "target", "tries")

    def __init__(
        self,
        network: Network,
        life: Life,
        context: Context,
        target: Interface | None,
        address: tuple[str, int],
        future: asyncio.Future[Endpoint],
    ) -> None:
        """Prepare an attempt; `Network.connect` starts it."""
        self.network = network
        self.life = life
        self.context = context
        self.target = target
        self.address = address
        self.future = future
        self.tries = 0
        self.link = network.link(life.interface.name, target.name) if target is not None else None

    def send_syn(self, _: None) -> None:
        """Send a SYN, and set the time for the next."""
        if self.future.done() or self.life.dead:
            return
        loop = self.network.loop
        if self.tries > SYN_RETRIES:
            self._report("connect timed out")
            self.future.set_exception(TimeoutError(errno.ETIMEDOUT, f"Connect call failed {self.address}"))
            return
        loop.push(loop.now + 2.0**self.tries, self.send_syn, None)
        self.tries += 1
        if self.link is not None and not self.link.cut:
            loop.push(loop.now + self._one_way(self.link), self._syn_arrives, None)

    def _one_way(self, link: Link) -> float:
        return link.latency + link.jitter * self.network.luck() if link.jitter else link.latency

    def _syn_arrives(self, _: None) -> None:
        link, target = self.link, self.target
        assert link is not None and target is not None
        if self.future.done() or link.cut or target.down or link.reverse.cut:
            return
        listener = target.listener_at(*self.address)
        if listener is not None and listener.is_full():
            return
        arrival = self.network.loop.now + self._one_way(link.reverse)
        answer = self._refused if listener is None else self._syn_ack_arrives
        self.network.loop.push(arrival, answer, listener)

    def _refused(self, _: Listener | None) -> None:
        assert self.link is not None
        if not self.future.done() and not self.link.reverse.cut:
            self._report("connect refused")
            self.future.set_exception(
                ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed {self.address}")
            )

    def _syn_ack_arrives(self, listener: Listener) -> None:
        link = self.link
        if self.future.done() or self.life.dead or link is None or link.reverse.cut:
            return
        if listener.closed or listener.is_full():
            return
        network, life = self.network, self.life
        source = life.interface
        own = self.address[0] if listener.life.interface is source else source.addresses[0]
        # Ephemeral ports need not be free of listeners of other addresses: any port serves.
        client_address = (own, source.free_port())
        client = Endpoint(network, life, self.context, client_address, self.address)
        server = Endpoint(network, listener.life, listener.context.copy(), self.address, client_address)
        there = Flow(network, link, client, server)
        back = Flow(network, link.reverse, server, client)
        client.join(out=there, into=back)
        server.join(out=back, into=there)
        server.listener = listener
        listener.waiting[server] = None
        life.endpoints[client] = None
        listener.life.endpoints[server] = None
        there.send_mark(OPEN)
        self._report("connected")
        self.future.set_result(client)

    def _report(self, what: str) -> None:
        if self.network.log is not None:
            self.network.log(self.life.name, f"{what} {self.address[0]}:{self.address[1]}")
