"""Group "replication": full sync, the primary's CPU, lag, and acknowledged writes per second.

Primary and replicas are the same program; the primary runs on the core of the
server under measurement, replicas and load on the others. A write is acknowledged
when a replica holds it: redis-server is asked by SET and WAIT 1, ours answers SET
itself (min-replicas-to-ack 1). Both get the load of the same client, an epoll loop
in as many processes as there are cores for it. The lag is `bench/replication_lag.py`.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from bench.client import Connection, Refused, encode
from bench.figures import Compare, Figure, Goal
from bench.load import Load, LoadFailed, run
from bench.replication_lag import lags
from bench.rounds import Bench, Samples
from bench.server import Program, Server, ServerDidNotStart

GROUP = "replication"
KEYS, QUICK_KEYS = 1_000_000, 50_000
ROUNDS_MOST = 3
CLIENTS = 50
ACKNOWLEDGED_SECONDS = 2.0
QUICK_OPTIONS = ("--repl-diskless-sync-delay", "0")
SYNC_GOAL = Goal(Compare.RATIO_AT_MOST, 0.7)
CPU_GOAL = Goal(Compare.RATIO_AT_MOST, 0.7)
ACKNOWLEDGED_GOAL = Goal(Compare.RATIO_AT_LEAST, 2)
FAILURES = (ServerDidNotStart, Refused, LoadFailed, OSError)


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the group's figures."""
    keys = QUICK_KEYS if bench.quick else KEYS
    single: list[tuple[str, str, Goal, Callable[[Bench, Program], float]]] = [
        (f"full sync of {keys:,} keys", "s", SYNC_GOAL, lambda b, p: full_sync_s(b, p, keys)),
        ("primary's CPU per SET with 2 replicas, pipeline 16", "µs", CPU_GOAL, primary_cpu_us),
        ("writes acknowledged by a replica, 50 clients", "1/s", ACKNOWLEDGED_GOAL, acknowledged_rate),
    ]
    for what, unit, goal, once in single:
        if bench.wants(GROUP, what):
            bench.say(what)
            samples = Samples(bench)
            for program in bench.order(1 if bench.quick else min(bench.rounds, ROUNDS_MOST)):
                if not samples.failed(program):
                    try:
                        samples.add(program, once(bench, program))
                    except FAILURES as error:
                        samples.fail(program, error)
            yield samples.figure(Figure(GROUP, what, unit, None, None, goal))
    for loaded in (False, True):
        yield from lags(bench, GROUP, loaded, one_replica)


@contextmanager
def one_replica(bench: Bench, program: Program, cores: frozenset[int]) -> Iterator[tuple[Server, Server]]:
    """Run a primary with one replica on these cores."""
    with replicated(bench, program, 1, cores=cores) as (primary, (replica,)):
        yield primary, replica


@contextmanager
def replicated(
    bench: Bench, program: Program, replicas: int, *options: str, cores: frozenset[int] | None = None
) -> Iterator[tuple[Server, list[Server]]]:
    """Run a primary with replicas that are in sync, on the load's cores or on these."""
    beside = replace(program, cores=cores or bench.cores.load)
    with ExitStack() as stack:
        primary = stack.enter_context(program.running(*QUICK_OPTIONS, *options))
        others = [stack.enter_context(beside.running(*QUICK_OPTIONS, *options)) for _ in range(replicas)]
        for each in others:
            attach(primary, each)
        yield primary, others


def attach(primary: Server, replica: Server) -> float:
    """Let a replica sync; return the seconds from the order to the link."""
    with Connection(replica.port) as connection:
        started = time.perf_counter()
        connection.ask(b"REPLICAOF", b"127.0.0.1", b"%d" % primary.port)
        while b"master_link_status:up" not in connection.info(b"replication"):
            if time.perf_counter() - started > 120:
                raise OSError("the replica did not come into sync")
            time.sleep(0.005)  # a replica tells that it is in step in INFO alone
        return time.perf_counter() - started


def full_sync_s(bench: Bench, program: Program, keys: int) -> float:
    """Return how long an empty replica takes to be in sync with this many keys."""
    beside = replace(program, cores=bench.cores.load)
    with program.running(*QUICK_OPTIONS) as primary, beside.running(*QUICK_OPTIONS) as replica:
        with Connection(primary.port) as connection:
            connection.fill(encode(b"SET", b"key:%012d" % number, b"x" * 32) for number in range(keys))
        return attach(primary, replica)


def primary_cpu_us(bench: Bench, program: Program) -> float:
    """Return the primary's CPU per SET while two replicas follow."""
    requests = 48_000 if bench.quick else 1_200_000
    with replicated(bench, program, 2) as (primary, _):
        load = Load(["SET", "key:__rand_int__", "x" * 32], requests, 16, 100_000)
        before_s = primary.cpu_s()
        run(load, primary.port, bench.cores.load)
        return (primary.cpu_s() - before_s) * 1e6 / requests


def acknowledged_rate(bench: Bench, program: Program) -> float:
    """Return writes per second of 50 clients, each acknowledged by a replica before the next."""
    is_candidate = program.name == bench.candidate.name
    options = ("--min-replicas-to-ack", "1") if is_candidate else ()
    with replicated(bench, program, 1, *options) as (primary, _):
        if is_candidate:
            await_promise(primary)
        seconds = 0.3 if bench.quick else ACKNOWLEDGED_SECONDS
        processes = max(1, min(2, len(bench.cores.load)))
        context = multiprocessing.get_context("fork")
        queue: multiprocessing.queues.Queue[float] = context.Queue()
        running = [
            context.Process(
                target=ask_all,
                args=(primary.port, CLIENTS // processes, not is_candidate, seconds, bench.cores.load, queue),
            )
            for _ in range(processes)
        ]
        for each in running:
            each.start()
        rates = [queue.get(timeout=60) for _ in running]
        for each in running:
            each.join()
        if min(rates) < 0:
            raise Refused("a write was not acknowledged")
        return sum(rates)


def await_promise(primary: Server) -> None:
    """Wait until the member set stands."""
    with Connection(primary.port) as connection:
        deadline = time.monotonic() + 10
        while b"ack_promise:kept" not in connection.info(b"replication"):
            if time.monotonic() > deadline:
                raise OSError("no member set")
            time.sleep(0.01)  # as above


def ask_all(
    port: int,
    clients: int,
    waits: bool,
    seconds: float,
    cores: frozenset[int],
    queue: multiprocessing.queues.Queue[float],
) -> None:
    """Let so many clients write, each as soon as its last write is acknowledged; put the rate."""
    os.sched_setaffinity(0, cores)
    request = encode(b"SET", b"key", b"x" * 32) + (encode(b"WAIT", b"1", b"0") if waits else b"")
    lines = 2 if waits else 1
    poll = select.epoll()
    ends: dict[int, socket.socket] = {}
    open_lines: dict[int, int] = {}
    for _ in range(clients):
        end = socket.create_connection(("127.0.0.1", port))
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ends[end.fileno()] = end
        open_lines[end.fileno()] = lines
        poll.register(end.fileno(), select.EPOLLIN)
        end.sendall(request)
    done, failed = 0, False
    started = time.perf_counter()
    while (now := time.perf_counter()) - started < seconds:
        for number, _ in poll.poll(0.1):
            received = os.read(number, 4096)
            left = open_lines[number] - received.count(b"\n")
            if left > 0:
                open_lines[number] = left
                continue
            failed = failed or received[:1] not in b"+:" or not received
            done += 1
            open_lines[number] = lines
            os.write(number, request)
    queue.put(-1.0 if failed else done / (now - started))
