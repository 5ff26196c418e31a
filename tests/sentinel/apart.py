"""A group whose members each have a machine of their own: network namespaces on one bridge.

What it is: `Group` with places; `cut` and `heal` unplug one machine, as a switch does. It needs
the right to make namespaces (root). What it is not: assertions.

How to read it: `apart` yields the group; names carry the process id, and everything goes again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.sentinel.group import Group, Process


def ip(*words: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


def can_be_apart() -> bool:
    """Tell whether this user may make namespaces."""
    return os.geteuid() == 0 and shutil.which("ip") is not None


class GroupApart(Group):
    """Nodes and Sentinels, one namespace each."""

    def __init__(self, directory: Path, down_after_ms: int, failover_timeout_ms: int) -> None:
        super().__init__(directory, down_after_ms, failover_timeout_ms)
        self._tag = f"hf{os.getpid() % 100000}"
        self._net = f"10.201.{os.getpid() % 250}"
        self._machines: dict[str, str] = {}
        ip("link", "add", self._tag, "type", "bridge")
        ip("addr", "add", f"{self._net}.254/24", "dev", self._tag)
        ip("link", "set", self._tag, "up")

    def place(self) -> tuple[str, list[str]]:
        """Make a machine."""
        number = len(self._machines) + 1
        name, address = f"{self._tag}n{number}", f"{self._net}.{number}"
        ip("netns", "add", name)
        ip("link", "add", f"{self._tag}v{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", f"{self._tag}v{number}", "master", self._tag, "up")
        ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "link", "set", "lo", "up")
        self._machines[address] = name
        return address, ["ip", "netns", "exec", name]

    def inside(self, member: Process) -> list[str]:
        """Return the words that run a command on a member's machine."""
        return ["ip", "netns", "exec", self._machines[member.host]]

    def _wire(self, member: Process) -> str:
        return self._machines[member.host].replace("n", "v")

    def cut(self, member: Process) -> None:
        """Unplug a machine: everything to and from it is lost in silence."""
        ip("link", "set", self._wire(member), "down")

    def heal(self, member: Process) -> None:
        """Plug it in again."""
        ip("link", "set", self._wire(member), "up")

    def close(self) -> None:
        """End everything, and take the machines away."""
        super().close()
        for name in self._machines.values():
            ip("netns", "del", name)
        ip("link", "del", self._tag)


@contextmanager
def apart(down_after_ms: int, failover_timeout_ms: int = 10_000) -> Iterator[GroupApart]:
    """Hold an empty group of machines."""
    directory = Path(tempfile.mkdtemp(prefix="holdfast-apart-"))
    made = GroupApart(directory, down_after_ms, failover_timeout_ms)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(directory, ignore_errors=True)
