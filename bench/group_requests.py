"""Group "requests": CPU that the server spends on a request, and requests per second.

For each workload, size of value and pipeline, 50 clients put the load on one
server at a time. CPU is the server's own, from the kernel's clock of the
process, user and system, divided by the requests; it hardly depends on how
fast the load comes. Throughput does, and is a goal where the kernel is the
bound (pipeline 1).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from bench.client import Connection, Refused
from bench.figures import Figure
from bench.load import Load, LoadFailed, run
from bench.rounds import Bench, Samples
from bench.server import Server, ServerDidNotStart
from bench.workloads import KERNEL_BOUND, LARGE_BYTES, PIPELINES, WORKLOADS, Workload

GROUP = "requests"
SECONDS_A_RUN, SECONDS_A_QUICK_RUN = 0.6, 0.08
REQUESTS_LEAST, QUICK_REQUESTS_LEAST = 12_000, 3_600
CALIBRATION_REQUESTS, QUICK_CALIBRATION_REQUESTS = 12_000, 1_200
PROCESSES_AND_PARTS = 12
"""Requests are a multiple of this and the pipeline: then 1, 2, 3 or 4 processes send whole pipelines."""


@dataclass(frozen=True)
class Case:
    """One line of the result: a workload at one size and pipeline."""

    workload: Workload
    value_bytes: int
    pipeline: int

    @property
    def title(self) -> str:
        size = f", {self.value_bytes} B" if len(self.workload.value_bytes) > 1 else ""
        return f"{self.workload.name}{size}, pipeline {self.pipeline}"

    def load(self, requests: int) -> Load:
        """Return the load, at least so many requests."""
        step = self.pipeline * PROCESSES_AND_PARTS
        words = [word.replace("VALUE", "x" * self.value_bytes) for word in self.workload.words]
        return Load(words, -(-requests // step) * step, self.pipeline, self.workload.keys)


def cases(bench: Bench) -> Iterator[Case]:
    """Yield what was asked for; a quick run leaves the large values out."""
    for workload in WORKLOADS:
        for value_bytes in workload.value_bytes:
            for pipeline in PIPELINES:
                case = Case(workload, value_bytes, pipeline)
                if bench.wants(GROUP, case.title) and not (bench.quick and value_bytes == LARGE_BYTES):
                    yield case


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the figures, in the order of the table of workloads."""
    wanted = list(cases(bench))
    if not wanted:
        return
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        absent = Samples(bench)
        for program in bench.programs:
            try:
                servers[program.name] = stack.enter_context(program.running())
            except (ServerDidNotStart, OSError) as error:
                absent.fail(program, error)
        for case in wanted:
            bench.say(case.title)
            yield from measure_case(bench, case, servers, absent.failures)


def measure_case(
    bench: Bench, case: Case, servers: dict[str, Server], absent: dict[str, str]
) -> Iterator[Figure]:
    """Measure one case on all servers that run."""
    cpu_us, user_us, rate = Samples(bench), Samples(bench), Samples(bench)
    for samples in (cpu_us, user_us, rate):
        samples.failures.update(absent)
    requests = 0
    filled: set[str] = set()

    for program in bench.order():
        if cpu_us.failed(program):
            continue
        server = servers[program.name]
        try:
            # The first server that answers sets the number of requests for both.
            if not requests:
                requests = calibrate(bench, case, server)
                filled.add(program.name)
            if case.workload.changes or program.name not in filled:
                fill(server, case, requests)
                filled.add(program.name)
            load = case.load(requests)
            ticks, before_s = server.ticks(), server.cpu_s()
            per_second = run(load, server.port, bench.cores.load)
            spent_us = (server.cpu_s() - before_s) * 1e6 / load.requests
        except (LoadFailed, Refused, OSError) as error:
            for samples in (cpu_us, user_us, rate):
                samples.fail(program, error)
            continue
        cpu_us.add(program, spent_us)
        user_us.add(program, spent_us * server.user_share(ticks))
        rate.add(program, per_second)

    throughput = rate.figure(
        Figure(
            GROUP,
            f"{case.title}: throughput",
            "1/s",
            None,
            None,
            KERNEL_BOUND if case.pipeline == 1 else None,
        )
    )
    goal = case.workload.cpu_goals.get(case.pipeline)
    note = f"{throughput.ratio:.2f} × the throughput" if throughput.ratio else ""
    yield cpu_us.figure(Figure(GROUP, f"{case.title}: CPU", "µs", None, None, goal, note))
    yield user_us.figure(Figure(GROUP, f"{case.title}: CPU in user mode", "µs", None, None))
    yield throughput


def calibrate(bench: Bench, case: Case, server: Server) -> int:
    """Return how many requests make a run of the wanted length."""
    requests = QUICK_CALIBRATION_REQUESTS if bench.quick else CALIBRATION_REQUESTS
    load = case.load(min(requests, case.workload.requests_most))
    fill(server, case, load.requests)
    per_second = run(load, server.port, bench.cores.load)
    seconds = SECONDS_A_QUICK_RUN if bench.quick else SECONDS_A_RUN
    least = QUICK_REQUESTS_LEAST if bench.quick else REQUESTS_LEAST
    return int(min(max(per_second * seconds, least), case.workload.requests_most))


def fill(server: Server, case: Case, requests: int) -> None:
    """Empty the server and put on it what the case needs."""
    with Connection(server.port) as connection:
        connection.ask(b"FLUSHALL")
        # Requests are rounded up to whole pipelines.
        connection.fill(case.workload.prepare(case.load(requests).requests, case.value_bytes))

