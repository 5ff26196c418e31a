"""Group "cluster": CPU per request of a node in cluster mode, and what three primaries serve beside one.

CPU: one node owns all slots and is measured as in the group "requests". Throughput: three
primaries, each on a core of its own, and all load from the one core left. So that the load
is not the limit, each request costs the server much and the client little (the size of an
intersection). The figure is three primaries' rate over that of one of them, for either
program; what is compared is each program with itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from bench.client import Connection, Refused, encode
from bench.figures import Compare, Figure, Goal
from bench.load import Load, LoadFailed, run, run_together
from bench.rounds import Bench, Samples
from bench.server import Program, Server, ServerDidNotStart, free_port

GROUP = "cluster"
PRIMARIES = 3
SLOTS = 16384
KEYS = 100_000
MEMBERS = 2_000
START_LIMIT_S = 60.0
OPTIONS = ("--cluster-enabled", "yes", "--cluster-node-timeout", "5000")
CPU_GOAL = Goal(Compare.RATIO_AT_MOST, 0.7)
SCALE_GOAL = Goal(Compare.CANDIDATE_AT_LEAST, 2.1, "×")
FAILURES = (ServerDidNotStart, Refused, LoadFailed, OSError)
REQUESTS = {"GET": ("GET", "key:__rand_int__"), "SET": ("SET", "key:__rand_int__", "x" * 32)}


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the group's figures."""
    for name, words in REQUESTS.items():
        for pipeline in (1, 16):
            what = f"{name} in cluster mode, pipeline {pipeline}: CPU"
            if bench.wants(GROUP, what):
                bench.say(what)
                yield cpu_figure(bench, what, words, pipeline)
    what = "throughput of three primaries over one"
    if bench.wants(GROUP, what) and len(os.sched_getaffinity(0)) > PRIMARIES:
        bench.say(what)
        yield scale_figure(bench, what)


def cpu_figure(bench: Bench, what: str, words: Sequence[str], pipeline: int) -> Figure:
    """Measure the server's CPU per request, in turns."""
    requests = 48_000 if bench.quick else 480_000 if pipeline > 1 else 120_000
    samples = Samples(bench)
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        for program in bench.programs:
            try:
                servers[program.name] = stack.enter_context(cluster_node(program, range(SLOTS)))
                fill(servers[program.name])
            except FAILURES as error:
                samples.fail(program, error)
        for program in bench.order():
            if samples.failed(program):
                continue
            server = servers[program.name]
            try:
                before_s = server.cpu_s()
                run(Load(words, requests, pipeline, KEYS), server.port, bench.cores.load)
                samples.add(program, (server.cpu_s() - before_s) * 1e6 / requests)
            except FAILURES as error:
                samples.fail(program, error)
    return samples.figure(Figure(GROUP, what, "µs", None, None, CPU_GOAL if pipeline > 1 else None))


def scale_figure(bench: Bench, what: str) -> Figure:
    """Measure the rate of one primary and of three at once."""
    samples = Samples(bench)
    for program in bench.order(1 if bench.quick else bench.rounds):
        if not samples.failed(program):
            try:
                samples.add(program, scale(bench, program))
            except FAILURES as error:
                samples.fail(program, error)
    return samples.figure(Figure(GROUP, what, "×", None, None, SCALE_GOAL))


def scale(bench: Bench, program: Program) -> float:
    """Return the requests per second of three primaries at once, over those of one of them."""
    cores = sorted(os.sched_getaffinity(0))
    load_core = frozenset(cores[:1])
    requests = 6_000 if bench.quick else 40_000
    bounds = [SLOTS * number // PRIMARIES for number in range(PRIMARIES + 1)]
    with ExitStack() as stack:
        nodes = []
        for number in range(PRIMARIES):
            beside = replace(program, cores=frozenset([cores[1 + number]]))
            slots = range(bounds[number], bounds[number + 1])
            nodes.append(stack.enter_context(cluster_node(beside, slots)))
        join(nodes)
        loads = []
        for node, first, end in zip(nodes, bounds, bounds[1:], strict=False):
            tag = tag_within(range(first, end))
            with Connection(node.port) as connection:
                for name in (b"one", b"two"):
                    members = [b"%d" % member for member in range(MEMBERS)]
                    connection.send_batch([encode(b"SADD", b"{%b}%b" % (tag, name), b"x", *members)])
            words = ("SINTERCARD", "2", f"{{{tag.decode()}}}one", f"{{{tag.decode()}}}two")
            loads.append((Load(words, requests, 16, KEYS, clients=16), node.port))
        one = run_together(loads[:1], load_core)
        return run_together(loads, load_core) / one


@contextmanager
def cluster_node(program: Program, slots: range) -> Iterator[Server]:
    """Run a node that owns these slots; it serves when it is given out, if it owns all."""
    with program.running(*OPTIONS, "--cluster-port", str(free_port())) as server:
        with Connection(server.port) as connection:
            connection.ask(b"CLUSTER", b"ADDSLOTSRANGE", b"%d" % slots.start, b"%d" % (slots.stop - 1))
        if len(slots) == SLOTS:
            await_cluster(server)
        yield server


def join(nodes: Sequence[Server]) -> None:
    """Let the nodes meet, and wait until all of them serve."""
    for number, node in enumerate(nodes[1:], 1):
        bus = node.options[-1].encode()
        with Connection(nodes[0].port) as connection:
            connection.ask(b"CLUSTER", b"MEET", b"127.0.0.1", b"%d" % node.port, bus)
        with Connection(node.port) as connection:
            connection.ask(b"CLUSTER", b"SET-CONFIG-EPOCH", b"%d" % number)
    for node in nodes:
        await_cluster(node)


def await_cluster(server: Server) -> None:
    """Wait until the node says that the cluster is ok."""
    started = time.perf_counter()
    with Connection(server.port) as connection:
        while True:
            connection.socket.sendall(encode(b"CLUSTER", b"INFO") + encode(b"ECHO", b"end-of-info"))
            received = b""
            while not received.endswith(b"end-of-info\r\n"):
                received += connection.socket.recv(65536) or b"end-of-info\r\n"
            if b"cluster_state:ok" in received:
                return
            if time.perf_counter() - started > START_LIMIT_S:
                raise OSError("the cluster did not come up")
            time.sleep(0.02)  # a node tells its state in CLUSTER INFO alone


def tag_within(slots: range) -> bytes:
    """Return a hash tag whose slot is one of these."""
    from binascii import crc_hqx

    return next(tag for number in range(SLOTS) if crc_hqx(tag := b"%d" % number, 0) % SLOTS in slots)


def fill(server: Server) -> None:
    """Put the keys that the requests read on a server."""
    with Connection(server.port) as connection:
        connection.fill(encode(b"SET", b"key:%012d" % number, b"x" * 32) for number in range(KEYS))
