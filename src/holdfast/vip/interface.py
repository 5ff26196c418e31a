"""What an agent does to its host: addresses of a network interface, and hooks.

Interfaces only. On Linux they are `holdfast.vip.netlink.KernelAddresses` and
`holdfast.vip.hooks.Processes`; under proof the simulator's.
"""

from __future__ import annotations

from typing import Protocol

from holdfast.vip.settings import AddressSettings


class Addresses(Protocol):
    """The addresses of one `AddressSettings` on this host."""

    grain_ms: int
    """What the kernel counts their time in: 1, or 1000 where it knows lifetimes of seconds only."""
    late_ms: int
    """How much later than asked for they may still be seen."""

    async def add(self, left_ms: int) -> None:
        """Add them, or renew them, for so many milliseconds, a grain or more. Raises OSError."""
        ...

    async def remove(self) -> bool:
        """Take away those that are there; tell whether one was. Raises OSError."""
        ...

    async def announce(self) -> None:
        """Tell the neighbours once. Raises OSError."""
        ...


class Hooks(Protocol):
    """Runs the operator's commands."""

    async def run(self, words: tuple[str, ...], settings: AddressSettings, event: str) -> str:
        """Run a command to its end; return "" for success, else what went wrong."""
        ...
