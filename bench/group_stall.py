"""Group "stall": how long a client waits at worst while the table grows to 10 M keys.

One process loads new keys, 100 SETs at a time; another asks PING all the while
and keeps its longest wait. On a machine with neighbours that wait is also the
scheduler's. So it begins when the question is sent and ends when the kernel has the
answer (its own stamp), not when the asking process is on a core again; and what the
server waited for a core meanwhile, of which the kernel keeps account, is taken off. How
long a process of others has run is no measure: that clock moves with the timer, 4 ms at
a time. The bare wait by the wall clock is given beside it.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

from bench.client import Connection, Refused, encode
from bench.figures import Compare, Figure, Goal
from bench.rounds import Bench, Samples
from bench.server import Program, Server, ServerDidNotStart

GROUP = "stall"
KEYS, QUICK_KEYS = 10_000_000, 600_000
ROUNDS_MOST = 3
COMMANDS_AT_ONCE = 100
LONGEST_STALL = Goal(Compare.CANDIDATE_AT_MOST, 2, "ms")
PING = encode(b"PING")
SO_TIMESTAMPNS = 35
"""As asm-generic/socket.h has it; the socket module has no name for it."""
STAMP = struct.Struct("qq")


@dataclass(frozen=True)
class Stall:
    """The longest waits of one run, in milliseconds."""

    served_ms: float
    wall_ms: float


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the longest stall, as served and by the wall clock."""
    keys = QUICK_KEYS if bench.quick else KEYS
    what = f"longest stall while a table grows to {keys:,} keys"
    if not bench.wants(GROUP, what):
        return
    bench.say(what)
    served, wall = Samples(bench), Samples(bench)
    for program in bench.order(1 if bench.quick else min(bench.rounds, ROUNDS_MOST)):
        if served.failed(program):
            continue
        try:
            stall = grow(program, keys, bench.cores.load)
        except (ServerDidNotStart, Refused, OSError, EOFError) as error:
            served.fail(program, error)
            wall.fail(program, error)
            continue
        served.add(program, stall.served_ms)
        wall.add(program, stall.wall_ms)
    by_the_wall = wall.figure(Figure(GROUP, f"{what}: by the wall clock", "ms", None, None))
    both = (by_the_wall.baseline, by_the_wall.candidate)
    note = "by the wall clock " + " / ".join(f"{sample.median:.1f}" if sample else "–" for sample in both)
    yield served.figure(Figure(GROUP, what, "ms", None, None, LONGEST_STALL, note))
    yield by_the_wall


def grow(program: Program, keys: int, cores: frozenset[int]) -> Stall:
    """Fill a fresh server and return the longest waits meanwhile."""
    value = b"x" * 32
    sets = (encode(b"SET", b"key:%012d" % number, value) for number in range(keys))
    with program.running() as server, Connection(server.port) as connection:
        return longest_waits(server, cores, lambda: connection.fill(sets, COMMANDS_AT_ONCE))


def longest_waits(server: Server, cores: frozenset[int], work: Callable[[], object]) -> Stall:
    """Return the longest waits of a client, a process of its own, for as long as some work lasts."""
    spawn = multiprocessing.get_context("fork")
    ours, theirs = spawn.Pipe()
    probe = spawn.Process(target=ask_until_told, args=(server, theirs, one_of(cores)), daemon=True)
    probe.start()
    theirs.close()
    try:
        ours.recv()
        work()
        ours.send("enough")
        stall: Stall = ours.recv()
    finally:
        ours.close()
        probe.join(timeout=10)
        if probe.is_alive():
            probe.kill()
    return stall


def one_of(cores: frozenset[int]) -> frozenset[int]:
    """Return the core of the probe: the last of the load's, for the loader runs where the scheduler likes."""
    return frozenset([max(cores)])


def ask_until_told(server: Server, pipe: Pipe, cores: frozenset[int]) -> None:
    """Ask PING without a pause; answer the first word in the pipe with the longest waits."""
    os.sched_setaffinity(0, cores)
    with (
        socket.create_connection(("127.0.0.1", server.port)) as connection,
        open(f"/proc/{server.process.pid}/schedstat", "rb", buffering=0) as scheduling,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        connection.setblocking(False)
        ask(connection)
        pipe.send("ready")
        served_s = wall_s = 0.0
        while not pipe.poll():
            coreless_before = coreless_s(scheduling.fileno())
            waited = ask(connection)
            wall_s = max(wall_s, waited)
            if waited > served_s:
                served_s = max(served_s, waited - (coreless_s(scheduling.fileno()) - coreless_before))
        pipe.send(Stall(served_s * 1e3, wall_s * 1e3))


def coreless_s(scheduling: int) -> float:
    """Return how long a process was ready to run without a core: its schedstat has it second, in ns."""
    return int(os.pread(scheduling, 64, 0).split()[1]) / 1e9


def ask(connection: socket.socket) -> float:
    """Send PING and spin until its answer is here; return how long it took to come, in seconds."""
    connection.send(PING)
    sent_s = time.time()  # the clock of the stamps; not before, for the core may be lost in between
    while True:
        try:
            answer, extras, _, _ = connection.recvmsg(64, 64)
        except BlockingIOError:
            continue
        if not answer:
            raise ConnectionError("closed by the server")
        if not extras:  # no stamp: it came before they were asked for
            return time.time() - sent_s
        seconds, nanoseconds = STAMP.unpack_from(extras[0][2])
        return float(seconds + nanoseconds / 1e9 - sent_s)
