"""The machine that a benchmark runs on: its cores, how they are shared out, its facts.

One core is the server's, all others are the load's; with a single core both
share it, and the facts say so. Linux only: CPU time and resident memory of
another process are read from /proc.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cores:
    """Which cores serve and which load."""

    server: frozenset[int]
    load: frozenset[int]


def share_out_cores() -> Cores:
    """Give the last core that we may use to the server, the others to the load."""
    allowed = sorted(os.sched_getaffinity(0))
    server = allowed[-1]
    return Cores(frozenset([server]), frozenset(allowed[:-1] or allowed))


def cpu_model() -> str:
    """Return the processor's name as the kernel has it."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1) if found else platform.machine()


def version_of(command: Sequence[str], environment: dict[str, str]) -> str:
    """Return the first line that a server prints for --version."""
    try:
        done = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, timeout=30, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown ({error})"
    if done.returncode != 0:
        return f"unknown (--version ended with {done.returncode})"
    lines = (done.stdout or done.stderr).strip().splitlines()
    # The rest of such a line tells builds apart, not versions.
    return re.sub(r" (sha|malloc|bits|build)=\S+", "", lines[0]) if lines else "unknown"


def commit() -> str:
    """Return the commit that is measured, marked where the tree differs from it."""
    here = Path(__file__).parent
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=10"], cwd=here, capture_output=True, text=True
    )
    return asked.stdout.strip() or "unknown"


def facts(cores: Cores) -> dict[str, str]:
    """Return what a reader needs to judge the figures."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": cpu_model(),
        "cores": f"{len(cores.server)} for the server, {len(cores.load)} for the load"
        + (" (shared)" if cores.server & cores.load else ""),
        "load average before": f"{os.getloadavg()[0]:.1f}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit(),
    }
