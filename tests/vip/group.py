"""Three hosts with node, Sentinel and agent each, and a client that knows one address, on a `Lan`.

What this is: how they are started, and what was seen of them. What it is not: assertions,
but that nothing takes for ever.

How to read it: `start_group`, then `Watched`.
"""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.vip.lan import ADDRESS, ADDRESS_6, WITNESS, Lan

HOSTS = ("h1", "h2", "h3")
HOLDFAST = ("-c", "from holdfast.cli.main import main; main()")


class Watched:
    """The network with what was seen on it."""

    def __init__(self, lan: Lan) -> None:
        self.lan = lan
        self.doubles: list[list[str]] = []
        self.servers: dict[str, subprocess.Popen[bytes]] = {}

    def until(self, condition: Callable[[list[str]], bool], seconds: float) -> float:
        """Wait until a condition on the holders is met; return the time it took. Two holders are noted."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            holders = self.lan.holders()
            if len(holders) > 1:
                # Hosts are asked one after the other: an address that moved meanwhile is seen at both, once.
                again = self.lan.holders()
                if len(both := [each for each in holders if each in again]) > 1:
                    self.doubles.append(both)
            if condition(holders):
                return time.monotonic() - began
            time.sleep(0.01)  # other kernels and processes: there is nothing to await but what they show
        raise AssertionError(f"holders: {self.lan.holders()}\n{self.outputs()}")

    def outputs(self) -> str:
        """Return what everybody said."""
        files = sorted(self.lan.directory.glob("*.out"))
        return "\n".join(f"== {each.name}\n{each.read_text()[-1500:]}" for each in files)

    def replicas_are_known(self) -> bool:
        """Tell whether every Sentinel has discovered both replicas."""
        files = [self.lan.directory / f"sentinel-{name}.out" for name in HOSTS]
        return all(each.read_text().count("+slave slave") == len(HOSTS) - 1 for each in files)

    def acknowledged(self) -> list[float]:
        """Return when the client's counts were acknowledged."""
        lines = (self.lan.directory / "client.txt").read_text().splitlines()
        return [float(each.split()[0]) for each in lines if " " in each]

    def longest_gap_since(self, began: float) -> float:
        """Return the client's longest time without an acknowledgement since `began`, in seconds."""
        times = [each for each in self.acknowledged() if each >= began - 0.1]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def client_goes_on(self, seconds: float) -> None:
        """Wait until the client counts again."""
        before, began = len(self.acknowledged()), time.monotonic()
        while len(self.acknowledged()) < before + 5:
            assert time.monotonic() - began < seconds, self.outputs()
            time.sleep(0.02)  # as above

    def start_server(self, host: str, primary: str | None) -> None:
        """Start the data node of a host."""
        words = [
            "--port",
            "6379",
            "--bind",
            "0.0.0.0",
            "--protected-mode",
            "no",
            "--save",
            "",
            "--repl-diskless-sync-delay",
            "0",
        ]
        words += ["--dir", str(self.lan.directory / host)]
        if primary is not None:
            words += ["--replicaof", f"{primary} 6379"]
        self.servers[host] = self.lan.start(
            host, "-m", "holdfast.cli.server", *words, output=f"server-{host}.out"
        )


def start_group(lan: Lan) -> Watched:
    """Start everything; h1 leads, and holds the address when this returns."""
    directory = lan.directory
    addresses = {name: lan.add_host(name, number) for number, name in enumerate(HOSTS, 1)}
    lan.add_host("client", 9)
    lan.add_host(WITNESS, 8)
    made = Watched(lan)
    sentinels = ", ".join(f'"{each}:26379"' for each in addresses.values())
    for name, address in addresses.items():
        (directory / name).mkdir()
        made.start_server(name, None if name == "h1" else addresses["h1"])
        (directory / name / "sentinel.conf").write_text(
            f"port 26379\nbind 0.0.0.0\nprotected-mode no\n"
            f"sentinel monitor mymaster {addresses['h1']} 6379 2\n"
            f"sentinel down-after-milliseconds mymaster 1000\n"
        )
        lan.start(
            name, "-m", "holdfast.cli.sentinel", str(directory / name / "sentinel.conf"),
            output=f"sentinel-{name}.out",
        )  # fmt: skip
        (directory / name / "vip.toml").write_text(
            f'status = "127.0.0.1:26500"\n[[address]]\nname = "cache"\n'
            f'addresses = ["{ADDRESS}/24", "{ADDRESS_6}/64"]\ninterface = "eth0"\n'
            f'server = "{address}:6379"\nsentinels = [{sentinels}]\n'
        )
        lan.start(
            name, *HOLDFAST, "vip", "run", "--name", name,
            "-c", str(directory / name / "vip.toml"), output=f"agent-{name}.out",
        )  # fmt: skip
    made.until(lambda holders: holders == ["h1"] and made.replicas_are_known(), 30)
    lan.start("client", str(Path(__file__).parent / "counting_client.py"), ADDRESS, output="client.txt")
    made.client_goes_on(10)
    return made


def one_other_than(gone: str) -> Callable[[list[str]], bool]:
    """Return a condition: exactly one holds, and it is another."""
    return lambda holders: len(holders) == 1 and holders != [gone]
