"""A third host that asks the network who answers for an address, of all hosts at the same moment.

What it is: rounds of an ARP question to all, and of the first packet of a connection to each
host by its hardware address, so that what a neighbour remembers plays no part. Kernels answer
both, even for processes that are stopped. What it is not: a client.

How to read it: `Witness.round`; the frames are RFC 826, 791 and 9293.
"""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import struct
import time
from collections.abc import Iterator

from pyroute2 import netns

PORT = 6379
FIRST_ROUND, ROUNDS = 20_000, 20_000
PATIENCE_S = 0.004
ARP, IPV4, TCP = 0x0806, 0x0800, 6
SYN = 0x02


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Open sockets in a network namespace."""
    netns.pushns(namespace)
    try:
        yield
    finally:
        netns.popns()


class Witness:
    """A raw socket on a host, and the hosts that it asks."""

    def __init__(self, namespace: str, mac: str, own: str, address: str) -> None:
        self._mac, self._own, self._address = packed(mac), ip(own), ip(address)
        self._round = 0
        with inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self._socket.bind(("eth0", 3))
        self._socket.setblocking(False)

    def close(self) -> None:
        """Ask no more."""
        self._socket.close()

    def round(self, macs: dict[str, str]) -> list[str]:
        """Return which of the hosts, by name and hardware address, answer a question of now."""
        self._round += 1
        port = FIRST_ROUND + self._round % ROUNDS
        with contextlib.suppress(BlockingIOError):
            while self._socket.recv(2048):
                continue
        self._socket.send(self._arp_question())
        for mac in macs.values():
            self._socket.send(self._first_packet(packed(mac), port))
        answered: set[bytes] = set()
        until = time.monotonic() + PATIENCE_S
        while (left_s := until - time.monotonic()) > 0:
            if not select.select([self._socket], [], [], left_s)[0]:
                break
            with contextlib.suppress(BlockingIOError):
                frame = self._socket.recv(2048)
                if self._answers(frame, port):
                    answered.add(frame[6:12])
        return [name for name, mac in macs.items() if packed(mac) in answered]

    def _answers(self, frame: bytes, port: int) -> bool:
        kind = struct.unpack_from(">H", frame, 12)[0]
        if frame[6:12] == self._mac:
            return False
        if kind == ARP:
            return frame[20:22] == b"\0\2" and frame[28:32] == self._address
        from_address, is_tcp = frame[26:30] == self._address, frame[23:24] == bytes([TCP])
        return kind == IPV4 and from_address and is_tcp and frame[36:38] == struct.pack(">H", port)

    def _arp_question(self) -> bytes:
        head = b"\xff" * 6 + self._mac + struct.pack(">HHHBBH", ARP, 1, IPV4, 6, 4, 1)
        return head + self._mac + self._own + bytes(6) + self._address

    def _first_packet(self, to: bytes, port: int) -> bytes:
        segment = struct.pack(">HHLLBBHHH", port, PORT, self._round, 0, 5 << 4, SYN, 1024, 0, 0)
        pseudo = self._own + self._address + struct.pack(">BBH", 0, TCP, len(segment))
        segment = segment[:16] + struct.pack(">H", checksum(pseudo + segment)) + segment[18:]
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, 64, TCP, 0) + self._own
        head += self._address
        head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
        return to + self._mac + struct.pack(">H", IPV4) + head + segment


def answers_itself(namespace: str, address: str) -> bool:
    """Tell whether a host that nobody else can reach answers for an address on itself."""
    with inside(namespace):
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with connection:
        connection.settimeout(PATIENCE_S)
        try:
            connection.connect((address, PORT))
        except ConnectionRefusedError:
            # From an address that is not the host's the answer is an error of the way, or none.
            return True
        except OSError:
            return False
        return True


def packed(mac: str) -> bytes:
    """Return a hardware address as bytes."""
    return bytes.fromhex(mac.replace(":", ""))


def ip(text: str) -> bytes:
    """Return an address as bytes."""
    return ipaddress.IPv4Address(text).packed


def checksum(octets: bytes) -> int:
    """Return the checksum of IP and TCP."""
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
