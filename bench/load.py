"""The load: redis-benchmark, as many processes as there are cores for it.

One process of redis-benchmark is one thread here. Its own --threads mode looks
at the end of a run only four times a second, which is too coarse for short runs.
"""

from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace

PROGRAM = "redis-benchmark"
PROCESSES_MOST = 4
TIMEOUT_S = 300


class LoadFailed(Exception):
    """redis-benchmark ended with an error; mostly the server refused the command."""


@dataclass(frozen=True)
class Load:
    """One command, many times. `__rand_int__` in a word becomes 12 digits below `keys`."""

    words: Sequence[str]
    requests: int
    pipeline: int
    keys: int
    clients: int = 50


def run(load: Load, port: int, cores: frozenset[int]) -> float:
    """Put the load on a server; return its requests per second, the processes' rates added up."""
    processes = max(1, min(PROCESSES_MOST, len(cores), load.clients))
    parts = [
        replace(
            load,
            clients=share(load.clients, processes, index),
            requests=share(load.requests, processes, index),
        )
        for index in range(processes)
    ]
    return run_together([(part, port) for part in parts], cores)


def run_together(loads: Sequence[tuple[Load, int]], cores: frozenset[int]) -> float:
    """Run a process for each load and port at once; return their requests per second, added up."""
    running = []
    for load, port in loads:
        command = [PROGRAM, "-h", "127.0.0.1", "-p", str(port), "--csv", "-c", str(load.clients)]
        command += ["-n", str(load.requests), "-P", str(load.pipeline), "-r", str(load.keys), *load.words]
        running.append(
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )
        )
    rates = []
    failure = ""
    for process in running:
        try:
            output, errors = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            failure = failure or f"no end after {TIMEOUT_S} s"
            continue
        if process.returncode != 0 or not output.strip():
            failure = failure or last_line(errors or output)
        else:
            rates.append(float(list(csv.reader(output.splitlines()))[-1][1]))
    if failure:
        raise LoadFailed(failure)
    return sum(rates)


def share(total: int, parts: int, index: int) -> int:
    """Return the part of `total` that falls to one of `parts`; they differ by one at most."""
    return total // parts + (index < total % parts)


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "it ended without words"
