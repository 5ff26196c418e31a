"""Moving slots under load, stock clusters and ours: how fast, what clients notice, what survives faults.

What it is: runs with real processes. Clients of redis-py write and read without pause while slots
move; at the end every key must be on exactly one primary, and hold what was acknowledged last (or
tried after that). What it is not: a benchmark of throughput.

How to read it: `speed` compares with redis-cli in turns, in one run; `FAULTS` are what is done to a
move; `judge` looks for every key. Run: python -m tests.reliability.cluster_moves [rounds [part of a
case's name]]; without a part it writes docs/reliability/cluster-moves.md. The row of small keys between
nodes of ours: `cluster_moves 3 "speed: small keys, Holdfast"`, a minute a round.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.cluster_jobs.stage import TOOL, Stage, environment, holdfast, own_cluster, stock_cluster, until
from tests.reliability.cluster_load import Load, Seen, preload, value_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability" / "cluster-moves.md"
PRELOADED = 100_000
SLOTS = 1200
AOF = ("--appendonly", "yes", "--appendfsync", "always")
MADE = {"redis-server 7.0.15": stock_cluster, "Holdfast": own_cluster}


@dataclass
class Outcome:
    """One move under load."""

    seconds: float
    gap_ms: float
    requests: int
    errors: Counter[str]
    lost: int
    doubled: int
    wrong_reads: int
    notes: list[str] = field(default_factory=list)


def judge(stage: Stage, seen: Sequence[Seen], seconds: float, preloaded: int) -> Outcome:
    """Look for every key that a client knows of."""
    holders = stage.keys()
    expected = {f"p:{number}" for number in range(preloaded)}
    acknowledged: dict[str, int] = {}
    tried: dict[str, int] = {}
    for each in seen:
        acknowledged |= each.acknowledged
        tried |= each.tried
    lost = sum(1 for key in expected | set(acknowledged) if key not in holders)
    client = redis.RedisCluster(port=stage.peers[0].port, host="127.0.0.1", decode_responses=True)
    for key, number in acknowledged.items():
        value = client.get(key)
        if value is not None and not number <= int(value) <= tried[key]:
            lost += 1
    numbers = list(range(0, preloaded, 97))
    lost += sum(client.get(f"p:{number}") != value_of(number) for number in numbers)
    client.close()
    errors: Counter[str] = Counter()
    for each in seen:
        errors.update(each.errors)
    return Outcome(
        seconds, max(each.longest_gap_ms for each in seen), sum(each.requests for each in seen), errors, lost,
        sum(1 for count in holders.values() if count > 1), sum(each.wrong_reads for each in seen),
    )  # fmt: skip


# ------------------------------------------------------------------- speed


def by_redis_cli(stage: Stage, source: int, target: int) -> None:
    """Move slots as redis-cli does."""
    words = ["--cluster-from", stage.id(source), "--cluster-to", stage.id(target),
             "--cluster-slots", str(SLOTS), "--cluster-yes"]  # fmt: skip
    command = ["redis-cli", "--cluster", "reshard", stage.addresses[0], *words]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-500:] + run.stderr


def by_holdfast(stage: Stage, source: int, target: int) -> None:
    """Move slots as we do."""
    code, report = holdfast(
        "reshard", stage.addresses[0], "--from", stage.id(source), "--to", stage.id(target),
        "--slots", str(SLOTS), "--yes",
    )  # fmt: skip
    assert code == 0, report


def by_nobody(stage: Stage, source: int, target: int) -> None:
    """Move nothing for as long as it takes: what the machine does to clients by itself."""
    time.sleep(1.5)  # nothing is awaited: the time is what is measured


def load_huge(stage: Stage) -> None:
    """Put keys of one and of eight megabytes among the small ones."""
    client = redis.RedisCluster(port=stage.peers[0].port, host="127.0.0.1")
    for number in range(60):
        client.hset(f"hash:{number}", mapping={f"f{each}": "x" * 1000 for each in range(1000)})
    for number in range(4):
        client.set(f"blob:{number}", b"x" * (8 << 20))
    client.close()


WAYS: tuple[tuple[str, Callable[[Stage, int, int], None]], ...] = (
    ("nothing moves", by_nobody),
    ("redis-cli --cluster reshard", by_redis_cli),
    ("holdfast cluster reshard", by_holdfast),
)


def speed(rounds: int, prepare: Callable[[Stage], None] | None, kind: str) -> dict[str, list[Outcome]]:
    """Move 1,200 slots there and back, by each way in turns."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name, _ in WAYS}
    with MADE[kind](3, 0, "--save", "") as stage:
        ports = [peer.port for peer in stage.peers]
        preload(ports, PRELOADED)
        if prepare is not None:
            prepare(stage)
        for number in range(rounds):
            for name, way in WAYS:
                load = Load(ports, PRELOADED)
                load.begin()
                began = time.monotonic()
                way(stage, number % 2, 1 - number % 2)
                took = time.monotonic() - began
                outcomes[name].append(judge(stage, load.stop(), took, PRELOADED))
                assert stage.marks() == 0
                print(name, outcomes[name][-1], flush=True)
                if name != "nothing moves":  # back, so that each way moves the same slots
                    by_holdfast(stage, 1 - number % 2, number % 2)
    return outcomes


# ------------------------------------------------------------------ faults


@dataclass
class Running:
    """The tool at work, slowed down so that a fault meets it in the middle."""

    process: subprocess.Popen[str]

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.communicate()


def start_move(stage: Stage, source: int, target: int, rate: int = 4000) -> Running:
    """Start moving slots, slowly."""
    words = ["reshard", stage.addresses[2], "--from", stage.id(source), "--to", stage.id(target),
             "--slots", str(SLOTS), "--yes", "--rate", str(rate)]  # fmt: skip
    process = subprocess.Popen(
        [*TOOL, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
    )
    before = stage.slots(target)
    until(
        lambda: stage.marks() > 0 or stage.slots(target) > before or process.poll() is not None,
        "slots are open, or the first have moved",
    )
    assert process.poll() is None, process.communicate()[0]
    return Running(process)


def tool_is_killed(stage: Stage, luck: random.Random) -> list[str]:
    """Kill the tool five times, at any moment; the next run goes on with what it left."""
    opened = []
    for _ in range(5):
        running = start_move(stage, 0, 1)
        time.sleep(luck.uniform(0.0, 0.4))  # the moment is the fault
        running.kill()
        opened.append(stage.marks())
        code, report = holdfast("fix", stage.addresses[2], "--yes")
        assert code == 0, report
    return [f"marks left at each kill: {opened}"]


def tool_is_cancelled(stage: Stage, luck: random.Random) -> list[str]:
    """Ctrl-C in the middle; the command that it prints goes on."""
    running = start_move(stage, 0, 1)
    time.sleep(luck.uniform(0.1, 0.5))  # the moment is the fault
    running.process.send_signal(signal.SIGINT)
    text = running.process.communicate(timeout=60)[0]
    assert running.process.returncode == 3, text
    assert stage.marks() == 0, text
    words = text.strip().splitlines()[-1].split()
    assert words[:2] == ["holdfast", "cluster"], text
    code, report = holdfast(*words[2:], "--yes")
    assert code == 0, report
    return [f"{stage.slots(1)} slots at the target after going on"]


def node_is_killed(which: int) -> Callable[[Stage, random.Random], list[str]]:
    """Kill source (0) or target (1) with append-only files, start it again; the tool goes on by itself."""

    def fault(stage: Stage, luck: random.Random) -> list[str]:
        running = start_move(stage, 0, 1)
        time.sleep(luck.uniform(0.0, 0.5))  # the moment is the fault
        stage.peers[which].kill()
        time.sleep(0.3)  # shorter than the node timeout: the cluster does not vote
        stage.restart(which)
        text = running.process.communicate(timeout=120)[0]
        assert running.process.returncode == 0, text
        return []

    return fault


def node_and_tool_are_killed(which: int) -> Callable[[Stage, random.Random], list[str]]:
    """Kill a node, then the tool that waits for it; `fix` finishes what both left."""

    def fault(stage: Stage, luck: random.Random) -> list[str]:
        running = start_move(stage, 0, 1)
        time.sleep(luck.uniform(0.0, 0.5))  # the moment is the fault
        stage.peers[which].kill()
        time.sleep(0.2)
        running.kill()
        stage.restart(which)
        opened = stage.marks()
        until(lambda: stage.client(2).cluster("info")["cluster_state"] == "ok", "the cluster is up")
        code, report = holdfast("fix", stage.addresses[2], "--yes")
        assert code == 0, report
        return [f"{opened} marks were left"]

    return fault


def primary_is_failed_over(which: int) -> Callable[[Stage, random.Random], list[str]]:
    """Kill source (0) or target (1) for good: its replica is promoted, and the tool goes on with that."""

    def fault(stage: Stage, luck: random.Random) -> list[str]:
        running = start_move(stage, 0, 1)
        time.sleep(luck.uniform(0.0, 0.4))  # the moment is the fault
        stage.peers[which].kill()
        began = time.monotonic()
        text = running.process.communicate(timeout=180)[0]
        assert running.process.returncode == 0, text
        stage.peers.pop(which).stop()
        return [f"through {time.monotonic() - began:.1f} s after"]

    return fault


def target_hangs(stage: Stage, luck: random.Random) -> list[str]:
    """Stop the target for 1.5 s: MIGRATE times out, and its keys may be at both ends."""
    running = start_move(stage, 0, 1)
    time.sleep(luck.uniform(0.0, 0.4))  # the moment is the fault
    stage.peers[1].process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    stage.peers[1].process.send_signal(signal.SIGCONT)
    text = running.process.communicate(timeout=120)[0]
    assert running.process.returncode == 0, text
    return []


def add_and_remove(stage: Stage, luck: random.Random) -> list[str]:
    """Take a node in, give it its share, take it out again."""
    stage.start()
    began = time.monotonic()
    code, report = holdfast("add", stage.addresses[0], stage.addresses[3], "--rebalance", "--yes")
    assert code == 0, report
    added = time.monotonic() - began
    assert stage.slots(3) == 4096
    code, report = holdfast("remove", stage.addresses[0], stage.id(3), "--yes")
    assert code == 0, report
    removed = time.monotonic() - began - added
    return [f"add with its share of 4,096 slots {added:.1f} s, remove {removed:.1f} s"]


FAULTS: tuple[tuple[str, Callable[[Stage, random.Random], list[str]]], ...] = (
    ("add a primary, rebalance, remove it", add_and_remove),
    ("kill -9 of the tool, five times, and fix", tool_is_killed),
    ("Ctrl-C, and the command that it prints", tool_is_cancelled),
    ("kill -9 of the source, back after 0.3 s", node_is_killed(0)),
    ("kill -9 of the target, back after 0.3 s", node_is_killed(1)),
    ("kill -9 of source and tool, and fix", node_and_tool_are_killed(0)),
    ("kill -9 of target and tool, and fix", node_and_tool_are_killed(1)),
    ("SIGSTOP of the target for 1.5 s", target_hangs),
    ("failover of the source", primary_is_failed_over(0)),
    ("failover of the target", primary_is_failed_over(1)),
)


def under_fault(
    fault: Callable[[Stage, random.Random], list[str]], seed: int, kind: str, *, replicas: int = 0
) -> Outcome:
    """Move under load with a fault in the middle."""
    with MADE[kind](3, replicas, "--save", "", *AOF) as stage:
        ports = [peer.port for peer in stage.peers]
        preload(ports, PRELOADED)
        load = Load(ports, PRELOADED)
        load.begin()
        began = time.monotonic()
        notes = fault(stage, random.Random(seed))
        took = time.monotonic() - began
        outcome = judge(stage, load.stop(), took, PRELOADED)
        outcome.notes = notes
        assert stage.marks() == 0, "slots are open"
        until(lambda: holdfast("status", stage.addresses[0])[0] == 0, "nothing is wrong")
        return outcome


# -------------------------------------------------------------------- page


def main() -> None:
    """Run all and write the page."""
    as_it_is = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_it_is)
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    parser.add_argument("part", nargs="?", default="", help="of the name of a case; then no page is written")
    chosen = parser.parse_args()
    rounds, wanted = chosen.rounds, chosen.part
    lines = []
    for kind in MADE:
        for title, prepare in (("small keys", None), ("small keys and huge ones", load_huge)):
            if wanted in f"speed: {title}, {kind}":
                lines += speed_lines(f"{title}, nodes of {kind}", speed(rounds, prepare, kind))
    rows = []
    for kind in MADE:
        for name, fault in FAULTS:
            if wanted not in f"{name}, {kind}":
                continue
            outcomes: list[Outcome] = []
            for seed in range(rounds):
                try:
                    outcomes.append(under_fault(fault, seed, kind, replicas=int("failover" in name)))
                except (AssertionError, subprocess.TimeoutExpired) as failure:
                    print(name, kind, seed, "FAILED", failure, flush=True)
                    outcomes.append(Outcome(0, 0, 0, Counter(), 0, 0, 0, [f"seed {seed}: failed"]))
                    continue
                print(name, kind, outcomes[-1], flush=True)
            rows.append(fault_row(name, kind, outcomes))
    text = PAGE_HEAD + "\n".join(lines) + FAULT_HEAD + "\n".join(rows) + "\n"
    print(text)
    if not wanted:
        PAGE.write_text(text)


PAGE_HEAD = f"""# Moving slots: time, pauses, and what survives faults

Written by `python -m tests.reliability.cluster_moves`. Clusters of three primaries on one machine of four
cores, with {PRELOADED:,} small keys, two writers and one reader (processes of redis-py's RedisCluster)
without pause. Stock nodes, and any node under redis-cli, are moved key by key; between nodes of ours
`holdfast cluster` moves slots as a whole. Lost: a key that no primary has, or that holds less than what was
acknowledged last; doubled: a key on two primaries; errors: what a client raised to its caller although it
follows redirects. Gaps are the longest time between two successful requests of one client, and what the
machine does to them when nothing moves stands beside. Load of the machine when the run began:
{os.getloadavg()[0]:.1f}.

"""
FAULT_HEAD = """
## Faults in the middle of a move

The cluster keeps append-only files (`appendfsync always`); the move is slowed down to 4,000 keys a second
so that the fault meets it. Requests that fail because a node is dead are no errors of the move, and shown
here. A run that did not end as it should is counted under notes as failed. At the end no slot is open, and
`holdfast cluster status` finds nothing wrong.

| what | nodes | runs | lost | doubled | stale or wrong reads | errors at clients | notes |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


def speed_lines(title: str, outcomes: dict[str, list[Outcome]]) -> list[str]:
    """Return a table."""
    lines = [f"## Moving {SLOTS:,} slots: {title}", "",
             "| by | time | longest gap | lost | doubled | wrong reads | errors | requests |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for name, each in outcomes.items():
        took = [one.seconds for one in each]
        gaps = [one.gap_ms for one in each]
        time_text = "-" if name == "nothing moves" else f"{statistics.median(took):.2f} s ({spread(took, 2)})"
        lines.append(
            f"| {name} | {time_text} | {statistics.median(gaps):.0f} ms ({spread(gaps, 0)}) | "
            f"{sum(one.lost for one in each)} | {sum(one.doubled for one in each)} | "
            f"{sum(one.wrong_reads for one in each)} | {sum(one.errors.total() for one in each)} | "
            f"{sum(one.requests for one in each):,} |"
        )
    return [*lines, ""]


def spread(values: Sequence[float], digits: int) -> str:
    """Return the smallest, the largest and how many."""
    return f"{min(values):.{digits}f}-{max(values):.{digits}f}, {len(values)} runs"


def fault_row(name: str, kind: str, outcomes: Sequence[Outcome]) -> str:
    """Return a row."""
    errors: Counter[str] = Counter()
    for each in outcomes:
        errors.update({text.partition(":")[0]: count for text, count in each.errors.items()})
    notes = "; ".join(dict.fromkeys(note for each in outcomes for note in each.notes))
    told = ", ".join(f"{count} {text}" for text, count in errors.items()) or "0"
    lost, doubled = sum(one.lost for one in outcomes), sum(one.doubled for one in outcomes)
    wrong = sum(one.wrong_reads for one in outcomes)
    return f"| {name} | {kind} | {len(outcomes)} | {lost} | {doubled} | {wrong} | {told} | {notes} |"


if __name__ == "__main__":
    main()
