"""Replication lag: from the primary's reply to the answer of the replica that has the write.

How it is measured. One client counts up a number on the primary, takes the reply, and asks the replica
for the number until it is the one just written. Most often the first answer has it: then the lag is one
round trip to a replica that has just applied a write, and no client can see less.

What makes the figures worth comparing:

- Both programs' pairs run at the same time and are asked in short rounds, in turns; noise that lasts
  longer than a round falls on both. The first samples of a round are not counted: the caches were the
  other pair's.
- Primary, replica, asker and load have a core each, as far as there are so many (four); else the last of
  them share. Left to itself the scheduler puts a replica that wakes now beside the asker, now on its very
  core, and that is worth more than all that either program does.
- Asker and requests are the same for both and as cheap as they can be in Python: blocking sockets,
  constant requests. Its own share of a sample, the same in both, draws the ratio towards 1.
- Each round gives a median and a 99th percentile; what counts is the median of each over all rounds. So
  moments of the machine that spoil fewer than half of the rounds do not decide over the p99.

What it is not: a measurement of links that are slow, or of replicas that lag behind for good.

How to read it: `lags` yields the figures, `round_us` is one round, `one_us` one sample.
"""

from __future__ import annotations

import os
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from bench.client import Connection, Refused, encode
from bench.figures import Compare, Figure, Goal
from bench.load import Load, LoadFailed, run
from bench.machine import Cores
from bench.rounds import Bench, Samples
from bench.server import Program, Server, ServerDidNotStart

ROUNDS, QUICK_ROUNDS = 20, 2
SAMPLES, QUICK_SAMPLES = 500, 50
WARM_UP = 50
LOAD = Load(["SET", "key:__rand_int__", "x" * 32], 20_000, 4, 10_000, clients=10)
LOADED_PER_MS = 20
LOAD_BEGINS_WITHIN_S = 30.0
GOAL = Goal(Compare.RATIO_AT_MOST, 1.0)
WRITE, READ = encode(b"INCR", b"lag"), encode(b"GET", b"lag")
FAILURES = (ServerDidNotStart, Refused, LoadFailed, OSError)

Pairs = Callable[[Bench, Program, frozenset[int]], AbstractContextManager[tuple[Server, Server]]]
"""Runs a primary on the program's cores and, in sync with it, a replica on these."""


@dataclass(frozen=True)
class Places:
    """Who runs where, beside the primary."""

    replica: frozenset[int]
    asker: frozenset[int]
    load: frozenset[int]

    @classmethod
    def of(cls, cores: Cores) -> Places:
        """Give each a core of its own where there are enough."""
        free = sorted(cores.load)
        places = [frozenset([free[min(index, len(free) - 1)]]) for index in range(2)]
        return cls(places[0], places[1], frozenset(free[2:]) or places[1])


def lags(bench: Bench, group: str, loaded: bool, pairs: Pairs) -> Iterator[Figure]:
    """Yield p50 and p99 of the lag, with or without load on the primary."""
    state = "under load" if loaded else "idle"
    if not bench.wants(group, f"lag, {state}"):
        return
    bench.say(f"replication lag, {state}")
    median, worst = Samples(bench), Samples(bench)
    places = Places.of(bench.cores)
    with ExitStack() as stack:
        running: dict[str, tuple[Server, Server]] = {}
        for program in bench.programs:
            try:
                running[program.name] = stack.enter_context(pairs(bench, program, places.replica))
            except FAILURES as error:
                median.fail(program, error)
                worst.fail(program, error)
        for program in bench.order(QUICK_ROUNDS if bench.quick else ROUNDS):
            if median.failed(program):
                continue
            primary, replica = running[program.name]
            try:
                taken = sorted(
                    round_us(primary, replica, places, loaded, QUICK_SAMPLES if bench.quick else SAMPLES)
                )
            except FAILURES as error:
                median.fail(program, error)
                worst.fail(program, error)
                continue
            median.add(program, statistics.median(taken))
            worst.add(program, taken[len(taken) * 99 // 100])
    yield median.figure(Figure(group, f"lag, {state}: p50", "µs", None, None, GOAL))
    yield worst.figure(Figure(group, f"lag, {state}: p99", "µs", None, None, GOAL))


def round_us(primary: Server, replica: Server, places: Places, loaded: bool, samples: int) -> list[float]:
    """Return the lags of so many writes, in microseconds."""
    with busy(primary.port, places.load, loaded), asking_from(places.asker):
        with connected(primary.port) as writer, connected(replica.port) as reader:
            for _ in range(WARM_UP):
                one_us(writer, reader)
            return [one_us(writer, reader) for _ in range(samples)]


def one_us(writer: socket.socket, reader: socket.socket) -> float:
    """Write once, and ask the replica until it has it."""
    written = ask(writer, WRITE, 1)[1:]
    started = time.perf_counter()
    while not ask(reader, READ, 2).endswith(b"\n" + written):
        pass
    return (time.perf_counter() - started) * 1e6


def ask(link: socket.socket, request: bytes, lines: int) -> bytes:
    """Send a request and return its reply of so many lines; the null reply ends after one."""
    link.sendall(request)
    reply = link.recv(256)
    while reply.count(b"\n") < lines and reply != b"$-1\r\n":
        if not reply or reply.startswith(b"-"):
            raise Refused(reply.decode(errors="replace") or "closed by the server")
        reply += link.recv(256)
    return reply


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """Connect for as long as the block lasts."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.settimeout(None)  # with one each recv would poll first
        yield link


@contextmanager
def asking_from(cores: frozenset[int]) -> Iterator[None]:
    """Run the block's thread on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def busy(port: int, cores: frozenset[int], wanted: bool) -> Iterator[None]:
    """Put moderate load on a server for as long as the block lasts, if it is wanted."""
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            try:
                run(LOAD, port, cores)
            except (LoadFailed, OSError):
                return

    load = threading.Thread(target=keep_busy)
    if wanted:
        load.start()
    try:
        if wanted:
            await_load(port)
        yield
    finally:
        stop.set()
        if wanted:
            load.join()


def await_load(port: int) -> None:
    """Wait until more commands are executed than ours and a replica's are; `LoadFailed` if none are."""
    with Connection(port) as connection:
        began = time.monotonic()
        before = commands_executed(connection)
        while (now := commands_executed(connection)) - before < LOADED_PER_MS:
            if time.monotonic() - began > LOAD_BEGINS_WITHIN_S:
                raise LoadFailed("no load arrived")
            before = now
            time.sleep(0.001)  # redis-benchmark does not tell when it has begun


def commands_executed(connection: Connection) -> int:
    """Return how many commands a server has executed."""
    return int(connection.info(b"stats").partition(b"total_commands_processed:")[2].split()[0])
