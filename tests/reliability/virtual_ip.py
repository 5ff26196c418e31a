"""How long a virtual address is away, by fault: writes docs/reliability/virtual-ip.md.

Run: python -m tests.reliability.virtual_ip [runs]

What it is: the group of `tests.vip.group` in namespaces, and three faults, each a number of
times. What it is not: a test; the same faults are tests in `tests/vip`.

How to read it: `FAULTS`, `measure`, `page`.
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from tests.vip.group import Watched, one_other_than, start_group
from tests.vip.lan import Lan

PAGE = Path(__file__).parents[2] / "docs" / "reliability" / "virtual-ip.md"
STAMP = re.compile(r"(\d\d? [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3}) ")


def kill(watched: Watched, host: str) -> Callable[[], None]:
    """Kill the data node; restart it afterwards as a replica of the new primary."""
    watched.servers[host].kill()
    return lambda: watched.start_server(host, watched.lan.hosts[watched.lan.holders()[0]])


def freeze(watched: Watched, host: str) -> Callable[[], None]:
    """Stop every process of the host; its kernel goes on."""
    watched.lan.freeze(host)
    return lambda: watched.lan.thaw(host)


def cut(watched: Watched, host: str) -> Callable[[], None]:
    """Pull the cable."""
    watched.lan.cut(host)
    return lambda: watched.lan.heal(host)


FAULTS = {"data node killed": kill, "host frozen": freeze, "host cut off": cut}


def measure(
    watched: Watched, fault: Callable[[Watched, str], Callable[[], None]]
) -> tuple[float, float, float]:
    """Return seconds: fault to new holder, switch to new holder, longest gap of the client."""
    holder = watched.lan.holders()[0]
    began, wall = time.monotonic(), time.time()
    mend = fault(watched, holder)
    away_s = watched.until(one_other_than(holder), 20)
    watched.client_goes_on(20)
    gap_s = watched.longest_gap_since(began)
    switched = latest(watched, "sentinel-*.out", "+switch-master", earliest_of=wall)
    acquired = latest(watched, "agent-*.out", "acquired:", earliest_of=wall)
    mend()
    watched.until(lambda holders: time.monotonic() - began > 12 and len(holders) == 1, 30)
    return away_s, acquired - switched, gap_s


def latest(watched: Watched, files: str, words: str, earliest_of: float) -> float:
    """Return the time, in seconds since 1970, of the first such line after a moment."""
    found = []
    for path in watched.lan.directory.glob(files):
        for line in path.read_text().splitlines():
            stamp = STAMP.search(line)
            if words in line and stamp is not None:  # written in local time, with the date
                at = datetime.strptime(stamp[1], "%d %b %Y %H:%M:%S.%f").astimezone().timestamp()
                if at >= earliest_of:
                    found.append(at)
    return min(found)


def page(results: dict[str, list[tuple[float, float, float]]], doubles: int) -> str:
    """Return the page."""
    lines = [
        "# The virtual IP under faults",
        "",
        "Three hosts in network namespaces on a bridge, each with a data node, a Sentinel and an agent;",
        "a client on a fourth host that knows the virtual address alone. down-after-milliseconds 1000,",
        "lease-ms 1000. Medians (worst in parentheses), in milliseconds.",
        "Written by `python -m tests.reliability.virtual_ip`.",
        "",
        "| fault | runs | fault → new holder | +switch-master → new holder | longest gap of the client |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, runs in results.items():
        cells = [
            f"{statistics.median(each) * 1000:.0f} ({max(each) * 1000:.0f})"
            for each in zip(*runs, strict=True)
        ]
        lines.append(f"| {name} | {len(runs)} | {' | '.join(cells)} |")
    lines += ["", f"Moments with two hosts that answered for it, asked every 10 ms: {doubles}.", ""]
    return "\n".join(lines)


def main() -> None:
    """Measure and write."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as directory:
        lan = Lan(Path(directory))
        try:
            watched = start_group(lan)
            results: dict[str, list[tuple[float, float, float]]] = {}
            for name, fault in FAULTS.items():
                for _ in range(runs):
                    results.setdefault(name, []).append(measure(watched, fault))
                    print(name, [round(each * 1000) for each in results[name][-1]], flush=True)
            PAGE.write_text(page(results, len(watched.doubles)))
        finally:
            lan.close()


if __name__ == "__main__":
    main()
