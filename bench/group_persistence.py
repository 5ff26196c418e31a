"""Group "persistence": saving, loading, replaying, syncing, and what a save costs those who go on.

Loading is timed by the server itself: both say "DB loaded from ...: N seconds" in
their log. Some saves and loads take 40 ms, so each round takes the median of several.
The longest stall during BGSAVE is asked as in group "stall", while another connection
writes. A longest wait is an extreme value, and a neighbour on the machine can make it:
so each server saves several times, and the median of the longest waits counts.
"""

from __future__ import annotations

import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench import load
from bench.client import Connection, Refused, encode
from bench.figures import Compare, Figure, Goal
from bench.group_memory import hash_of, list_of, set_of, settled, sorted_set_of, string
from bench.group_stall import longest_waits
from bench.rounds import Bench, Samples
from bench.server import Program, Server, ServerDidNotStart

GROUP = "persistence"
ROUNDS_MOST = 3
SAVES = 7
TURNS = 3
QUICK_PART = 10
SHORTER = Goal(Compare.RATIO_AT_MOST, 0.8)
REPLAY = Goal(Compare.RATIO_AT_MOST, 0.6)
STALL = Goal(Compare.RATIO_AT_MOST, 1.0)
ONE, SIXTEEN = Goal(Compare.RATIO_AT_LEAST, 1.0), Goal(Compare.RATIO_AT_LEAST, 1.3)
CHILD = Goal(Compare.CANDIDATE_AT_MOST, 5, "%")
LOADED = re.compile(r"DB loaded from [^:]*: ([0-9.]+) seconds")
DATA = (
    ("1 M strings", 1_000_000, string),
    ("10,000 hashes of 100", 10_000, hash_of(100)),
    ("10,000 lists of 100", 10_000, list_of(100)),
    ("10,000 sets of 100", 10_000, set_of(100)),
    ("10,000 sorted sets of 100", 10_000, sorted_set_of(100)),
)
Make = Callable[[int], list[bytes]]
Once = Callable[[Program], dict[str, float]]


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the figures of the group."""
    part = QUICK_PART if bench.quick else 1
    for name, keys, make in DATA:
        goals = {f"SAVE of {name}": ("s", SHORTER), f"load of {name}": ("s", SHORTER)}
        yield from several(bench, goals, partial(save_and_load, keys=keys // part, make=make))
    goals = {"replay of an AOF of 1 M commands": ("s", REPLAY)}
    yield from several(bench, goals, lambda program: {"": replay(program, 1_000_000 // part)})
    for policy in ("everysec", "always"):
        for pipeline, goal in ((1, ONE), (16, SIXTEEN)):
            goals = {f"SET with appendfsync {policy}, pipeline {pipeline}": ("requests/s", goal)}
            requests = (100_000 if pipeline == 1 else 1_000_000) // part
            of = partial(
                throughput, policy=policy, pipeline=pipeline, requests=requests, cores=bench.cores.load
            )
            yield from several(bench, goals, of)
    goals = {
        "longest stall during BGSAVE of 1 M keys": ("ms", STALL),
        "memory that the child adds": ("%", CHILD),
    }
    yield from several(bench, goals, lambda p: background_save(p, 1_000_000 // part, bench.cores.load))


def several(bench: Bench, goals: dict[str, tuple[str, Goal]], once: Once) -> Iterator[Figure]:
    """Measure things that come of one run together; `once` gives them in the order of `goals`."""
    wanted = [what for what in goals if bench.wants(GROUP, what)]
    if not wanted:
        return
    bench.say(wanted[0])
    samples = {what: Samples(bench) for what in goals}
    for program in bench.order(1 if bench.quick else min(bench.rounds, ROUNDS_MOST)):
        if any(sample.failed(program) for sample in samples.values()):
            continue
        try:
            for sample, value in zip(samples.values(), once(program).values(), strict=True):
                sample.add(program, value)
        except (ServerDidNotStart, Refused, OSError, EOFError, load.LoadFailed) as error:
            for sample in samples.values():
                sample.fail(program, error)
    for what in wanted:
        unit, goal = goals[what]
        yield samples[what].figure(Figure(GROUP, what, unit, None, None, goal))


@contextmanager
def started(program: Program, folder: Path, *options: str) -> Iterator[Server]:
    """Run a server in a folder that has files; ready when it has loaded them."""
    server = Server(program, folder, options)
    try:
        while True:
            try:
                server.await_pong()
                break
            except Refused:
                time.sleep(0.01)  # it is loading
        yield server
    finally:
        server.end()


def loaded_s(folder: Path) -> float:
    """Return how long the last load took, as the log says."""
    found = LOADED.findall((folder / "log").read_text(errors="replace"))
    if not found:
        raise ServerDidNotStart("the log does not say how long loading took")
    return float(found[-1])


def save_and_load(program: Program, keys: int, make: Make) -> dict[str, float]:
    """Fill a server, save, and start others on the file; the medians of several turns."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-bench-"))
    try:
        with started(program, folder) as server, Connection(server.port) as connection:
            connection.fill((encode(*make(number)) for number in range(keys)), 100)
            saved = [saving_s(connection) for _ in range(TURNS)]
        loaded = []
        for _ in range(TURNS):
            with started(program, folder):
                loaded.append(loaded_s(folder))
        return {"save": statistics.median(saved), "load": statistics.median(loaded)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def saving_s(connection: Connection) -> float:
    """Return how long a SAVE takes, in seconds."""
    before = time.perf_counter()
    connection.ask(b"SAVE")
    return time.perf_counter() - before


def replay(program: Program, commands: int) -> float:
    """Start a server on an AOF of SETs; return how long it loaded."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-bench-"))
    try:
        place = folder / "appendonlydir"
        place.mkdir()
        (place / "appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
        with open(place / "appendonly.aof.1.incr.aof", "wb") as file:
            file.write(encode(b"SELECT", b"0"))
            for number in range(commands):
                file.write(encode(*string(number // 2)))
        with started(program, folder, "--appendonly", "yes"):
            return loaded_s(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def throughput(
    program: Program, policy: str, pipeline: int, requests: int, cores: frozenset[int]
) -> dict[str, float]:
    """Return SETs a second with the AOF on."""
    words = ("SET", "key:__rand_int__", "x" * 32)
    with program.running("--appendonly", "yes", "--appendfsync", policy) as server:
        return {"": load.run(load.Load(words, requests, pipeline, 100_000), server.port, cores)}


def background_save(program: Program, keys: int, cores: frozenset[int]) -> dict[str, float]:
    """Save in the background, idle and then under writes; return stall and memory added."""
    with program.running() as server, Connection(server.port) as connection:
        empty = settled(server.resident_bytes)
        connection.fill((encode(*string(number)) for number in range(keys)), 100)
        size = settled(server.resident_bytes) - empty
        connection.ask(b"BGSAVE")
        await_save(connection)
        share = field(connection, "rdb_last_cow_size") / size * 100
        stalls = [longest_stall(server, connection, keys, cores) for _ in range(SAVES)]
    return {"stall": statistics.median(stalls), "memory": share}


def longest_stall(server: Server, connection: Connection, keys: int, cores: frozenset[int]) -> float:
    """Save in the background under writes; return the longest wait of another client, in milliseconds."""

    def save_under_writes() -> None:
        connection.ask(b"BGSAVE")
        number = 0
        while field(connection, "rdb_bgsave_in_progress"):
            connection.fill((encode(*string((number + i) * 7919 % keys)) for i in range(2000)), 100)
            number += 2000

    return longest_waits(server, cores, save_under_writes).served_ms


def await_save(connection: Connection) -> None:
    """Wait for the end of a save."""
    while field(connection, "rdb_bgsave_in_progress"):
        time.sleep(0.02)  # a save tells its end in INFO alone


def field(connection: Connection, name: str) -> int:
    """Return a field of INFO persistence."""
    connection.socket.sendall(encode(b"INFO", b"persistence"))
    received = b""
    while True:
        received += connection.socket.recv(65536)
        head, _, rest = received.partition(b"\r\n")
        if head.startswith(b"-"):
            raise Refused(head[1:].decode(errors="replace"))
        if head.startswith(b"$") and len(rest) >= int(head[1:]) + 2:
            break
    found = re.search(rf"^{name}:(\d+)".encode(), rest, re.MULTILINE)
    return int(found[1]) if found else 0
