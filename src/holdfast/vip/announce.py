"""What neighbours must hear when an address moves: gratuitous ARP, unsolicited neighbour advertisements.

What it is: the frames (RFC 826 and RFC 5227 for ARP, RFC 4861 section 4.4 for IPv6), as
bytes. What it is not: sending (`netlink`), or when (`PAUSES_MS` says it).

How to read it: `gratuitous_arp`, `neighbour_advertisement`.
"""

from __future__ import annotations

import ipaddress
import struct

PAUSES_MS = (0, 50, 150, 500, 1000, 2000)
"""When announcements are sent after a take-over: a lost one is made good, a slow switch hears the next."""
BROADCAST = b"\xff" * 6
ALL_NODES = ipaddress.IPv6Address("ff02::1")
ALL_NODES_MAC = bytes.fromhex("333300000001")
ARP, IPV6 = 0x0806, 0x86DD
ICMPV6, ADVERTISEMENT, OVERRIDE, TARGET_LINK_ADDRESS = 58, 136, 0x20000000, 2


def gratuitous_arp(mac: bytes, address: ipaddress.IPv4Address, *, is_reply: bool) -> bytes:
    """Return an Ethernet frame that says to all that `address` is at `mac`; some stacks heed one form."""
    target = BROADCAST if is_reply else b"\0" * 6
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2 if is_reply else 1)
    return BROADCAST + mac + struct.pack("!H", ARP) + body + mac + address.packed + target + address.packed


def neighbour_advertisement(mac: bytes, address: ipaddress.IPv6Address) -> bytes:
    """Return an Ethernet frame that tells all nodes that `address` is at `mac`, overriding what they knew."""
    body = struct.pack("!BBHI", ADVERTISEMENT, 0, 0, OVERRIDE) + address.packed
    body += struct.pack("!BB", TARGET_LINK_ADDRESS, 1) + mac
    pseudo = address.packed + ALL_NODES.packed + struct.pack("!II", len(body), ICMPV6)
    body = body[:2] + struct.pack("!H", _checksum(pseudo + body)) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), ICMPV6, 255) + address.packed + ALL_NODES.packed
    return ALL_NODES_MAC + mac + struct.pack("!H", IPV6) + header + body


def _checksum(content: bytes) -> int:
    """Return the internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(content) // 2}H", content))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
