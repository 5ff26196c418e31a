"""Addresses of a Linux interface through netlink (pyroute2), and announcements through a raw socket.

What it is: the only part that touches the kernel; it needs CAP_NET_ADMIN and CAP_NET_RAW. The
lease goes into the kernel twice: as the time of a gate (`gate`), to the millisecond, and as the
address's lifetime, in whole seconds, which takes it away when the gate has been shut for a
while. Without nf_tables the lifetime stands alone, and must not outlast the lease.
What it is not: the frames (`announce`), or any decision.

How to read it: `KernelAddresses` is `interface.Addresses`; `DryAddresses` only says what it
would do.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

from pyroute2 import AsyncIPRoute, NetlinkError

from holdfast.server.address_lease import KERNEL_LATE_MS
from holdfast.vip import announce
from holdfast.vip.gate import GATE_LATE_MS, Gate
from holdfast.vip.settings import AddressSettings

NO_DUPLICATE_DETECTION = 0x02
"""IFA_F_NODAD: an IPv6 address is of use at once; the lease says that nobody else has it."""
SPARE_S = 2
"""How much longer the address lives than its gate is open, so that it is never too short for a renewal."""
GONE = (errno.EADDRNOTAVAIL, errno.ENODEV, errno.ESRCH)


class KernelAddresses:
    """`interface.Addresses` of the kernel that this process runs on. Call `open` first."""

    def __init__(self, settings: AddressSettings) -> None:
        self.settings = settings
        self.grain_ms, self.late_ms = 1000, KERNEL_LATE_MS
        self.gate: Gate | None = None
        self.gate_missing = ""
        """Why there is no gate; empty: there is one."""
        self._netlink: Any = None

    async def open(self) -> None:
        """Connect to the kernel. Raises OSError when the interface is not there."""
        self._netlink = AsyncIPRoute()
        await self._netlink.setup_endpoint()
        await self._index()
        try:
            self.gate = Gate(self.settings)
        except OSError as error:
            self.gate_missing = str(error)
        else:
            self.grain_ms, self.late_ms = 1, GATE_LATE_MS

    async def close(self) -> None:
        """Disconnect."""
        if self._netlink is not None:
            self._netlink.close()
        if self.gate is not None:
            self.gate.remove()

    async def add(self, left_ms: int) -> None:
        """Add or renew, for `left_ms`: then the kernel takes them away by itself."""
        valid_s = left_ms // 1000
        if self.gate is not None:
            self.gate.open(left_ms)
            valid_s += SPARE_S
        for each in self.settings.addresses:
            flags = {"flags": NO_DUPLICATE_DETECTION} if each.version == 6 else {}
            await self._change("replace", each, preferred_lft=valid_s, valid_lft=valid_s, **flags)

    async def remove(self) -> bool:
        """Take away those that are there."""
        removed = False
        if self.gate is not None:
            self.gate.shut()
        for each in self.settings.addresses:
            try:
                await self._change("del", each)
                removed = True
            except OSError as error:
                if error.errno not in GONE:
                    raise
        return removed

    async def announce(self) -> None:
        """Send one round of frames for every address."""
        index = await self._index()
        links = await self._netlink.link("get", index=index)
        mac = bytes.fromhex(str(links[0].get_attr("IFLA_ADDRESS")).replace(":", ""))
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.setblocking(False)
            raw.bind((self.settings.interface, 0))
            for each in self.settings.addresses:
                for frame in frames(mac, each.ip):
                    raw.send(frame)

    async def _index(self) -> int:
        found = await self._netlink.link_lookup(ifname=self.settings.interface)
        if not found:
            raise OSError(errno.ENODEV, f"no interface {self.settings.interface}")
        return int(found[0])

    async def _change(self, command: str, each: Any, **more: int) -> None:
        try:
            await self._netlink.addr(
                command, index=await self._index(), address=str(each.ip), mask=each.network.prefixlen, **more
            )
        except NetlinkError as error:
            raise OSError(error.code, f"{each} on {self.settings.interface}: {error}") from None


class DryAddresses:
    """`interface.Addresses` that changes nothing and says what it would have done."""

    def __init__(self, settings: AddressSettings, tell: Callable[[str], None]) -> None:
        self._what = f"{', '.join(str(each) for each in settings.addresses)} on {settings.interface}"
        self._tell = tell
        self._is_there = False
        self.grain_ms, self.late_ms = 1, 0

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def add(self, left_ms: int) -> None:
        """Say the first time what would be added."""
        if not self._is_there:
            self._tell(f"dry run: would add {self._what} for {left_ms} ms, and renew it")
        self._is_there = True

    async def remove(self) -> bool:
        """Say what would be removed."""
        was_there, self._is_there = self._is_there, False
        if was_there:
            self._tell(f"dry run: would remove {self._what}")
        return was_there

    async def announce(self) -> None:
        """Do nothing."""


def frames(mac: bytes, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[bytes]:
    """Return what one round of announcements is made of."""
    if isinstance(address, ipaddress.IPv6Address):
        return [announce.neighbour_advertisement(mac, address)]
    return [announce.gratuitous_arp(mac, address, is_reply=form) for form in (False, True)]
