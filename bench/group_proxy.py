"""Group "proxy": what a sharding proxy costs, nutcracker and `holdfast proxy` in the same run.

Both read the same configuration (ketama, fnv1a_64, two redis-servers) and run on the
core of the server under measurement; backends and load have the others. CPU is the
proxy's own for each request of the client, user and system. Added latency is the p99
of 50 clients through the proxy, less the p99 of the same load on a backend itself.

How to read it: `CASES` is the table; in the result the first column is nutcracker.
"""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench.client import Connection, Refused
from bench.figures import Compare, Figure, Goal
from bench.load import PROGRAM, Load, LoadFailed, run
from bench.rounds import Bench, Samples
from bench.server import START_TIMEOUT_S, Program, ServerDidNotStart, free_port

GROUP = "proxy"
NUTCRACKER = Program("nutcracker", ("nutcracker",), frozenset())
HOLDFAST = Program(
    "holdfast",
    (sys.executable, "-c", "from holdfast.cli.main import main; main()", "proxy"),
    frozenset(),
)
KEYS = 100_000
VALUE = "x" * 32
CLIENTS = 50
LATENCY_REQUESTS, QUICK_LATENCY_REQUESTS = 100_000, 10_000
FAILURES = (LoadFailed, Refused, OSError, ServerDidNotStart)


@dataclass(frozen=True)
class Case:
    """One line of the result."""

    name: str
    words: tuple[str, ...]
    pipeline: int
    requests: int
    cpu: Goal
    throughput: Goal | None = None

    @property
    def title(self) -> str:
        return f"{self.name}, pipeline {self.pipeline}"


def at_most(bound: float) -> Goal:
    """Return the goal of a ratio."""
    return Goal(Compare.RATIO_AT_MOST, bound)


FASTER = Goal(Compare.RATIO_AT_LEAST, 1.5)
KEY = "key:__rand_int__"
CASES = (
    Case("SET", ("SET", KEY, VALUE), 1, 60_000, at_most(0.9)),
    Case("GET", ("GET", KEY), 1, 60_000, at_most(0.9)),
    Case("SET", ("SET", KEY, VALUE), 16, 300_000, at_most(0.6), FASTER),
    Case("GET", ("GET", KEY), 16, 300_000, at_most(0.6), FASTER),
    Case("MGET of 10 keys", ("MGET", *[KEY] * 10), 1, 30_000, at_most(0.7)),
    Case("MGET of 10 keys", ("MGET", *[KEY] * 10), 16, 60_000, at_most(0.7)),
)


class Proxy:
    """A running proxy."""

    def __init__(self, program: Program, folder: Path, backends: list[int], cores: frozenset[int]) -> None:
        self.port = free_port()
        path = folder / f"{program.name}.yml"
        servers = "".join(f"   - 127.0.0.1:{port}:1\n" for port in backends)
        path.write_text(
            f"bench:\n  listen: 127.0.0.1:{self.port}\n  hash: fnv1a_64\n  distribution: ketama\n"
            f"  redis: true\n  servers:\n{servers}"
        )
        command = [*program.command, "-c", str(path), "-s", str(free_port()), "-a", "127.0.0.1"]
        command += ["-v", "2", "-o", str(folder / f"{program.name}.log")]
        if program is NUTCRACKER:
            command += ["-p", str(folder / "nutcracker.pid")]
        with open(folder / f"{program.name}.out", "wb") as out:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=program.environment,
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )
        self._await_pong(folder / f"{program.name}.out")

    def _await_pong(self, out: Path) -> None:
        until = time.perf_counter() + START_TIMEOUT_S
        while time.perf_counter() < until and self.process.poll() is None:
            with contextlib.suppress(OSError), Connection(self.port) as connection:
                if connection.ask(b"PING") == b"+PONG":
                    return
            time.sleep(0.01)  # nothing listens yet: there is no event to await
        raise ServerDidNotStart(out.read_text(errors="replace").strip() or "no answer to PING")

    def cpu_s(self) -> float:
        """Return the CPU time of all its threads, to the nanosecond."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the group's figures."""
    both = replace(bench, baseline=NUTCRACKER, candidate=HOLDFAST)
    wanted = [case for case in CASES if bench.wants(GROUP, case.title)]
    latency = bench.wants(GROUP, "added p99 latency")
    if not wanted and not latency:
        return
    absent = Samples(both)
    if shutil.which("nutcracker") is None:
        absent.fail(NUTCRACKER, FileNotFoundError("nutcracker is not installed"))
    backend = Program("redis-server", ("redis-server",), bench.cores.load)
    with contextlib.ExitStack() as stack:
        backends = [stack.enter_context(backend.running()).port for _ in range(2)]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-bench-")))
        proxies: dict[str, Proxy] = {}
        for program in both.programs:
            if absent.failed(program):
                continue
            try:
                proxies[program.name] = Proxy(program, folder, backends, bench.cores.server)
                stack.callback(proxies[program.name].end)
            except FAILURES as error:
                absent.fail(program, error)
        if "holdfast" in proxies:
            with contextlib.suppress(*FAILURES):
                run(
                    Load(("SET", KEY, VALUE), KEYS, 16, KEYS, CLIENTS),
                    proxies["holdfast"].port,
                    bench.cores.load,
                )
        for case in wanted:
            bench.say(case.title)
            yield from measure_case(both, case, proxies, absent.failures)
        if latency:
            bench.say("added p99 latency")
            yield added_latency(both, proxies, backends[0], absent.failures)


def measure_case(
    bench: Bench, case: Case, proxies: dict[str, Proxy], absent: dict[str, str]
) -> Iterator[Figure]:
    """Measure one case on both proxies."""
    cpu_us, rate = Samples(bench), Samples(bench)
    for samples in (cpu_us, rate):
        samples.failures.update(absent)
    requests = case.requests // (10 if bench.quick else 1)
    load = Load(case.words, requests, case.pipeline, KEYS, CLIENTS)
    for program in bench.order():
        if cpu_us.failed(program):
            continue
        proxy = proxies[program.name]
        try:
            before_s = proxy.cpu_s()
            per_second = run(load, proxy.port, bench.cores.load)
            cpu_us.add(program, (proxy.cpu_s() - before_s) * 1e6 / requests)
            rate.add(program, per_second)
        except FAILURES as error:
            for samples in (cpu_us, rate):
                samples.fail(program, error)
    throughput = rate.figure(
        Figure(GROUP, f"{case.title}: throughput", "1/s", None, None, case.throughput)
    )
    yield cpu_us.figure(Figure(GROUP, f"{case.title}: CPU", "µs", None, None, case.cpu))
    yield throughput


def added_latency(
    bench: Bench, proxies: dict[str, Proxy], backend: int, absent: dict[str, str]
) -> Figure:
    """Measure what a proxy adds to the p99 of 50 clients, in microseconds."""
    samples = Samples(bench)
    samples.failures.update(absent)
    for program in bench.order():
        if samples.failed(program):
            continue
        try:
            direct = p99_us(bench, backend)
            samples.add(program, max(p99_us(bench, proxies[program.name].port) - direct, 1.0))
        except FAILURES as error:
            samples.fail(program, error)
    what = f"added p99 latency, GET, {CLIENTS} clients"
    return samples.figure(Figure(GROUP, what, "µs", None, None, at_most(1.0)))


def p99_us(bench: Bench, port: int) -> float:
    """Return the p99 of GET with 50 clients, as redis-benchmark measures it."""
    requests = QUICK_LATENCY_REQUESTS if bench.quick else LATENCY_REQUESTS
    command = [PROGRAM, "-h", "127.0.0.1", "-p", str(port), "--csv", "-c", str(CLIENTS), "-n", str(requests)]
    asked = subprocess.run(
        [*command, "-r", str(KEYS), "GET", KEY],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, bench.cores.load),
    )
    rows = list(csv.reader(asked.stdout.splitlines()))
    if asked.returncode or len(rows) < 2:
        raise LoadFailed(asked.stderr.strip() or "no figures")
    return float(rows[-1][rows[0].index("p99_latency_ms")]) * 1000
