"""A gate before the address: packet filter rules that close by themselves, to the millisecond.

What it is: the lease, enforced by the kernel where a lifetime of whole seconds is too coarse.
Two sets stand in nf_tables: `held`, whose members are closed to everybody, and `open`, whose
members are not; an address is put into both, into `open` for as long as the lease lasts. The
kernel looks at a member's time at every packet, so nothing has to run for the gate to close:
not the agent, not a timer. What it is not: the address itself (`netlink`), or any decision.

What goes through it: what comes for the address (IPv4, IPv6, ARP requests, neighbour
solicitations) before any translation, and what leaves from it, so that a host whose lease is
over neither answers nor teaches its neighbours where the address was.

By hand and not by pyroute2, whose nf_tables messages these are too: a renewal empties and fills six
sets at once, must be in force when `open` returns, and ends with an error where the kernel says no.
pyroute2's transactions (`begin`, `commit`) read no answers; `nftables.main` makes one change a
transaction; `nlm_request_batch` awaits an answer to each message, without a limit of time, where
the kernel gives a single one to a batch that it refuses as a whole. Left would be the packing of
attributes, at ten times the time, and by that time too late the gate would shut.

Members of `held` go after HELD_MS, longer than the address may stay: an agent that was killed
leaves no rule behind that matters. The table goes when the agent ends.

How to read it: `Gate`, then the rules, then the bytes (linux/netfilter/nf_tables.h).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Sequence

from holdfast.vip.settings import AddressSettings

GATE_LATE_MS = 20
"""How much later than asked for it may close: the kernel counts in ticks, of 10 ms at most."""
HELD_MS = 15_000

NETLINK_NETFILTER, SUBSYSTEM = 12, 10
BATCH_BEGIN, BATCH_END = 0x10, 0x11
NEW_TABLE, DELETE_TABLE, NEW_CHAIN, NEW_RULE, NEW_SET, NEW_MEMBER, DELETE_MEMBER = 0, 2, 3, 6, 9, 12, 14
REQUEST, ACK, CREATE, APPEND = 0x1, 0x4, 0x400, 0x800
NESTED = 0x8000
INET, ARP = 1, 3
BEFORE_TRANSLATION = -300
SET_WITH_TIMEOUTS, NOT_IN = 0x10, 1
LINK_PROTOCOL, LAYER_4 = 15, 16
NETWORK, TRANSPORT = 1, 2
IPV4, IPV6, ICMP6, SOLICITATION = 2, 10, 58, 135
TIMEOUT_S = 2.0
ANSWER_BYTES = 65536


class Gate:
    """The gate of one `AddressSettings`. All calls raise OSError."""

    def __init__(self, settings: AddressSettings) -> None:
        """Make it, closed. Raises OSError where the kernel has no nf_tables, or does not let us."""
        self._table = f"holdfast-{settings.name}"[:200]
        self._members = {
            version: [each.ip.packed for each in settings.addresses if each.version == version]
            for version in (4, 6)
        }
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self._number = 0
        try:
            self._socket.bind((0, 0))
            self._socket.settimeout(TIMEOUT_S)
            self._run([*self._built(), *self._shut()])
        except OSError:
            self._socket.close()
            raise

    def open(self, left_ms: int) -> None:
        """Let through for so many milliseconds from now."""
        filled = [*self._filled("held", HELD_MS), *self._filled("open", left_ms)]
        try:
            self._run(filled)
        except FileNotFoundError:  # somebody emptied the rule set
            self._run([*self._built(), *filled])

    def shut(self) -> None:
        """Let nothing through."""
        with contextlib.suppress(FileNotFoundError):
            self._run(self._shut())

    def remove(self) -> None:
        """Take the rules away. The address must be gone."""
        try:
            with contextlib.suppress(FileNotFoundError):
                self._run([message(DELETE_TABLE, family, text(1, self._table)) for family in (INET, ARP)])
        finally:
            self._socket.close()

    # ---- what is said to the kernel ----

    def _built(self) -> list[bytes]:
        made: list[bytes] = []
        for family, keys in ((INET, {"4": 4, "6": 16}), (ARP, {"4": 4})):
            name = text(1, self._table)
            made += [
                message(NEW_TABLE, family, name, flags=CREATE),
                message(DELETE_TABLE, family, name),
                message(NEW_TABLE, family, name, flags=CREATE),
            ]
            for kind in ("held", "open"):
                for version, size in keys.items():
                    words = text(1, self._table) + text(2, kind + version) + number(3, SET_WITH_TIMEOUTS)
                    words += number(4, 0) + number(5, size) + number(10, len(made))
                    made.append(message(NEW_SET, family, words, flags=CREATE))
            for chain, hook in (("in", 0), ("out", 1 if family == ARP else 3)):
                words = text(1, self._table) + text(3, chain)
                words += nested(4, number(1, hook), number(2, BEFORE_TRANSLATION)) + text(7, "filter")
                made.append(message(NEW_CHAIN, family, words, flags=CREATE))
            rules = ARP_RULES if family == ARP else INET_RULES
            for chain, *expressions in rules:
                words = text(1, self._table) + text(2, chain) + nested(4, *expressions, DROP)
                made.append(message(NEW_RULE, family, words, flags=CREATE | APPEND))
        return made

    def _shut(self) -> list[bytes]:
        return [*self._filled("held", HELD_MS), *self._filled("open", 0)]

    def _filled(self, kind: str, left_ms: int) -> list[bytes]:
        """Empty the sets of a kind, and put the addresses in for so long, 0: not at all."""
        made = []
        for family, version in ((INET, 4), (INET, 6), (ARP, 4)):
            place = text(1, self._table) + text(2, f"{kind}{version}")
            made.append(message(DELETE_MEMBER, family, place))
            if left_ms > 0 and self._members[version]:
                members = [
                    nested(1, nested(1, attribute(1, each)), attribute(4, struct.pack(">Q", left_ms)))
                    for each in self._members[version]
                ]
                made.append(message(NEW_MEMBER, family, place + nested(3, *members), flags=CREATE))
        return made

    def _run(self, messages: Sequence[bytes]) -> None:
        """Have all done, or nothing. The kernel has done it when this returns."""
        begin = struct.pack(">BBH", 0, 0, SUBSYSTEM)
        parts = [(BATCH_BEGIN, 0, begin), *((None, ACK, each) for each in messages), (BATCH_END, 0, begin)]
        packet, first = b"", self._number + 1
        for kind, flags, body in parts:
            self._number = (self._number + 1) & 0x7FFFFFFF
            if kind is None:
                kind, more = struct.unpack_from("=HH", body)
                body, flags = body[4:], flags | more
            packet += struct.pack("=LHHLL", 16 + len(body), kind, REQUEST | flags, self._number, 0) + body
        self._socket.send(packet)
        self._answers(first, len(messages))

    def _answers(self, first: int, count: int) -> None:
        """Read an answer to each message; the first that is an error is raised."""
        code = 0
        while count:
            answer = self._socket.recv(ANSWER_BYTES)
            at = 0
            while at < len(answer):
                size, _, _, place, _, problem = struct.unpack_from("=LHHLLi", answer, at)
                at += (size + 3) & ~3
                if place >= first:
                    count -= 1
                    code = code or -problem
                if place == first and problem:  # the batch as a whole was refused
                    count = 0
        if code:
            raise OSError(code, f"nf_tables: {os.strerror(code)}")  # its kind follows from the code


# ---- rules ----


def attribute(kind: int, value: bytes) -> bytes:
    """Return one netlink attribute."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def number(kind: int, value: int) -> bytes:
    """Return an attribute that is a number of 32 bits."""
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def text(kind: int, value: str) -> bytes:
    """Return an attribute that is a name."""
    return attribute(kind, value.encode() + b"\0")


def nested(kind: int, *parts: bytes) -> bytes:
    """Return an attribute that holds others."""
    return attribute(kind | NESTED, b"".join(parts))


def message(kind: int, family: int, words: bytes, *, flags: int = 0) -> bytes:
    """Return a message without its length and number: kind, flags, family, words."""
    return struct.pack("=HH", SUBSYSTEM << 8 | kind, flags) + struct.pack(">BBH", family, 0, 0) + words


def expression(name: str, *words: bytes) -> bytes:
    """Return one step of a rule."""
    return nested(1, text(1, name), nested(2, *words))


def loads(base: int, offset: int, size: int) -> bytes:
    """Load bytes of the packet."""
    return expression("payload", number(1, 1), number(2, base), number(3, offset), number(4, size))


def equals(value: bytes) -> bytes:
    """Go on if what is loaded is this."""
    return expression("cmp", number(1, 1), number(2, 0), nested(3, attribute(1, value)))


def facts(key: int) -> bytes:
    """Load a fact of the packet."""
    return expression("meta", number(2, key), number(1, 1))


def stands_shut(version: str) -> tuple[bytes, bytes]:
    """Go on if what is loaded is in `held` and not in `open`."""
    return (
        expression("lookup", text(1, f"held{version}"), number(2, 1)),
        expression("lookup", text(1, f"open{version}"), number(2, 1), number(5, NOT_IN)),
    )


DROP = expression("immediate", number(1, 0), nested(2, nested(2, number(1, 0))))
IS_4 = (facts(LINK_PROTOCOL), equals(bytes([IPV4])))
IS_6 = (facts(LINK_PROTOCOL), equals(bytes([IPV6])))
IS_SOLICITATION = (
    facts(LAYER_4), equals(bytes([ICMP6])), loads(TRANSPORT, 0, 1), equals(bytes([SOLICITATION])),
)  # fmt: skip
INET_RULES = (
    ("in", *IS_4, loads(NETWORK, 16, 4), *stands_shut("4")),
    ("in", *IS_6, loads(NETWORK, 24, 16), *stands_shut("6")),
    ("in", *IS_6, *IS_SOLICITATION, loads(TRANSPORT, 8, 16), *stands_shut("6")),
    ("out", *IS_4, loads(NETWORK, 12, 4), *stands_shut("4")),
    ("out", *IS_6, loads(NETWORK, 8, 16), *stands_shut("6")),
)
ARP_RULES = (
    ("in", loads(NETWORK, 24, 4), *stands_shut("4")),
    ("out", loads(NETWORK, 14, 4), *stands_shut("4")),
)
