"""A little network of namespaces: hosts on a bridge, processes on them. Needs root and iproute2.

What this is: `Lan`, made and removed by one test module; everything that runs in it was
started by it. What it is not: assertions.

How to read it: `Lan.add_host`, `Lan.start`; faults are `cut`, `heal`, `freeze`, `thaw`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from pyroute2 import NetNS

from tests.vip.witness import Witness, answers_itself

ADDRESS = "10.99.0.100"
ADDRESS_6 = "fd99::100"
WITNESS = "witness"
"""The host that asks who answers for the address."""


def can_make_networks() -> bool:
    """Tell whether namespaces and bridges are to be had here."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    probe = f"hfp{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True).returncode:
        return False
    made = subprocess.run(["ip", "-n", probe, "link", "add", "br0", "type", "bridge"], capture_output=True)
    subprocess.run(["ip", "netns", "del", probe], check=True)
    return made.returncode == 0


class Lan:
    """A bridge in a namespace of its own, and hosts on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._mark = f"hf{os.getpid()}"
        self.hosts: dict[str, str] = {}
        self._processes: dict[str, list[subprocess.Popen[bytes]]] = {}
        self._netlinks: dict[str, Any] = {}
        self._macs: dict[str, str] = {}
        self._cut: set[str] = set()
        self._witness: Witness | None = None
        self._run("netns", "add", self.namespace("lan"))
        self._in("lan", "link", "add", "name", "bridge", "type", "bridge")
        self._in("lan", "link", "set", "bridge", "up")

    def namespace(self, name: str) -> str:
        """Return the namespace of a host."""
        return f"{self._mark}-{name}"

    def add_host(self, name: str, number: int) -> str:
        """Add a host with 10.99.0.`number`; return its address."""
        self._run("netns", "add", self.namespace(name))
        self._in(
            "lan", "link", "add", f"port-{name}", "type", "veth", "peer", "name", "eth0",
            "netns", self.namespace(name),
        )  # fmt: skip
        self._in("lan", "link", "set", f"port-{name}", "master", "bridge", "up")
        self._in(name, "link", "set", "lo", "up")
        self._in(name, "link", "set", "eth0", "up")
        self._in(name, "addr", "add", f"10.99.0.{number}/24", "dev", "eth0")
        self._in(name, "addr", "add", f"fd99::{number}/64", "dev", "eth0", "nodad")
        self.hosts[name] = f"10.99.0.{number}"
        self._netlinks[name] = NetNS(self.namespace(name))
        self._macs[name] = self.mac(name)
        return self.hosts[name]

    def start(self, host: str, *words: str, output: str) -> subprocess.Popen[bytes]:
        """Start a Python module (`-m …`) or file on a host; its output goes to a file."""
        with (self.directory / output).open("ab") as file:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace(host), sys.executable, *words],
                stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._processes.setdefault(host, []).append(process)
        return process

    def freeze(self, host: str) -> None:
        """Stop every process of a host; its kernel goes on."""
        for each in self._processes[host]:
            each.send_signal(signal.SIGSTOP)

    def thaw(self, host: str) -> None:
        """Let them go on."""
        for each in self._processes[host]:
            each.send_signal(signal.SIGCONT)

    def cut(self, host: str) -> None:
        """Pull a host's cable at the bridge."""
        self._in("lan", "link", "set", f"port-{host}", "down")
        self._cut.add(host)

    def heal(self, host: str) -> None:
        """Plug it in again."""
        self._in("lan", "link", "set", f"port-{host}", "up")
        self._cut.discard(host)

    def holders(self) -> list[str]:
        """Return the hosts that answer for the address now, as a third host and they themselves see it."""
        asked = {name: mac for name, mac in self._macs.items() if name != WITNESS}
        if self._witness is None:
            self._witness = Witness(
                self.namespace(WITNESS), self._macs[WITNESS], self.hosts[WITNESS], ADDRESS
            )
        found = self._witness.round(asked)
        return found + [each for each in self._cut if answers_itself(self.namespace(each), ADDRESS)]

    def having(self, address: str) -> list[str]:
        """Return the hosts whose kernel has an address."""
        return [
            name
            for name, netlink in self._netlinks.items()
            if any(each.get_attr("IFA_ADDRESS") == address for each in netlink.get_addr())
        ]

    def mac(self, host: str) -> str:
        """Return the hardware address of a host."""
        index = self._netlinks[host].link_lookup(ifname="eth0")[0]
        return str(self._netlinks[host].link("get", index=index)[0].get_attr("IFLA_ADDRESS"))

    def neighbour(self, host: str, address: str) -> str:
        """Return the hardware address that a host has for an address in its ARP table."""
        found = [
            each.get_attr("NDA_LLADDR")
            for each in self._netlinks[host].get_neighbours()
            if each.get_attr("NDA_DST") == address
        ]
        return str(found[0]) if found else ""

    def close(self) -> None:
        """End all processes and remove all namespaces."""
        for processes in self._processes.values():
            for each in processes:
                each.kill()
                each.wait()
        if self._witness is not None:
            self._witness.close()
        for netlink in self._netlinks.values():
            netlink.close()
        for name in (*self.hosts, "lan"):
            self._run("netns", "del", self.namespace(name))

    def _in(self, host: str, *words: str) -> None:
        self._run("-n", self.namespace(host), *words)

    def _run(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)
