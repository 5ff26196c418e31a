"""How long writes fail and what is lost when a primary dies: our Sentinels and redis-sentinel, side by side.

What it is: fault runs with real processes. A writer writes numbered keys and remembers each
acknowledgement; the outage is the longest gap between two of them around the fault; lost
is what was acknowledged and is not on the final primary. What it is not: a benchmark of
throughput.

How to read it: `CASES` says what is done; `run_case` does it once; `main` prints the table and
writes docs/reliability/sentinel.md. Run:
python -m tests.reliability.sentinel_outage [runs [part of a case's name]]
"""

from __future__ import annotations

import argparse
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.reliability.sentinel_losses import LOSSES, measure
from tests.reliability.writer import Writer
from tests.sentinel.apart import can_be_apart
from tests.sentinel.group import Group, group, until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability" / "sentinel.md"


@dataclass(frozen=True)
class Outcome:
    """One run."""

    outage_ms: float
    acknowledged: int
    lost: int


def crash(made: Group) -> None:
    """Kill the primary."""
    made.nodes[0].process.kill()


def stop(made: Group) -> None:
    """Stop the primary; it goes on when the new one leads."""
    made.nodes[0].signal(signal.SIGSTOP)


def crash_with_leader(made: Group) -> None:
    """Kill the primary; whichever Sentinel is elected first ends at that moment."""
    first = made.sentinels[0]
    first.client.execute_command("SENTINEL SIMULATE-FAILURE CRASH-AFTER-ELECTION")
    made.nodes[0].process.kill()
    for each in made.sentinels[1:]:
        each.signal(signal.SIGSTOP)
    time.sleep(0.05)  # the pause is the fault
    for each in made.sentinels[1:]:
        each.signal(signal.SIGCONT)


def planned(made: Group) -> None:
    """SENTINEL FAILOVER."""
    made.sentinels[0].client.sentinel_failover("mymaster")


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    fault: Callable[[Group], None]
    down_after_ms: int
    goal: str
    writers: int = 1
    batch: int = 1
    redis_runs: int = 3


CASES = (
    Case("kill -9, down-after 1 s", crash, 1000, "<= 600 ms"),
    Case("kill -9, down-after 5 s", crash, 5000, "<= 800 ms", redis_runs=2),
    Case("kill -9, down-after 30 s", crash, 30_000, "<= 1500 ms", redis_runs=1),
    Case("SIGSTOP, down-after 1 s", stop, 1000, "<= 1800 ms"),
    Case("kill -9, then the leader at its election", crash_with_leader, 1000, "<= 3000 ms", redis_runs=1),
    Case("planned failover under load", planned, 5000, "<= 150 ms, 0 lost", 4, 50),
)


def run_case(case: Case, nodes: str, sentinels: str) -> Outcome:
    """Do one run."""
    with group(case.down_after_ms, 10_000) as made:
        for _ in range(3):
            made.add_node(nodes).wait_ready()
        for each in made.nodes[1:]:
            until(lambda each=each: made.link_up(each), "a replica is in sync")
        for _ in range(3):
            made.add_sentinel(sentinels)
        made.settle()
        if (nodes, sentinels) == ("holdfast", "holdfast"):
            told = made.nodes[0].client
            until(lambda: told.info("replication").get("lease") == "held", "the lease is held")
        old = made.nodes[0].port
        writers = [Writer(made, str(number), case.batch) for number in range(case.writers)]
        until(lambda: all(len(each.acknowledged) > 200 for each in writers), "the writers write")
        fault = time.monotonic()
        case.fault(made)
        alive = [each for each in made.sentinels if each.process.poll() is None]
        until(
            lambda: any(made.primary_of(each) != old for each in alive if each.process.poll() is None),
            "another leads",
            120,
        )
        until(
            lambda: all(each.acknowledged and each.acknowledged[-1][0] > fault + 0.3 for each in writers),
            "writes go on",
            120,
        )
        made.nodes[0].signal(signal.SIGCONT) if case.fault is stop else None
        alive = [each for each in made.sentinels if each.process.poll() is None]
        time.sleep(1.0)  # the writers go on for this long: part of what is measured
        for each in writers:
            each.stop()
        until(lambda: made.agreed(made.primary_of(alive[-1])), "all agree", 60)
        port = made.primary_of(alive[-1])
        final = redis.Redis(port=port)
        lost = total = 0
        for number, each in enumerate(writers):
            keys = [f"{number}:{key}" for _, key in each.acknowledged]
            total += len(keys)
            for place in range(0, len(keys), 5000):
                part = keys[place : place + 5000]
                lost += len(part) - int(final.exists(*part))
        return Outcome(max(each.outage_ms(fault) for each in writers), total, lost)


def outage_rows(runs: int, wanted_name: str) -> list[str]:
    """Measure the cases of this module."""
    rows = []
    for case in CASES:
        if wanted_name not in case.name:
            continue
        cells = []
        for nodes, sentinels in (("redis", "redis"), ("redis", "holdfast"), ("holdfast", "holdfast")):
            wanted = min(runs, case.redis_runs) if sentinels == "redis" else runs
            outcomes = []
            for _ in range(wanted):
                try:
                    outcomes.append(run_case(case, nodes, sentinels))
                except AssertionError as error:
                    print(f"{case.name}: {nodes}/{sentinels}: {error}", flush=True)
            cells.append(_cell(outcomes, wanted))
            print(case.name, nodes, sentinels, cells[-1], flush=True)
        rows.append(f"| {case.name} | {' | '.join(cells)} | {case.goal} |")
    return rows


def _cell(outcomes: list[Outcome], wanted: int) -> str:
    if not outcomes:
        return "no run ended"
    outages = sorted(each.outage_ms for each in outcomes)
    lost, total = sum(each.lost for each in outcomes), sum(each.acknowledged for each in outcomes)
    failed = f", {wanted - len(outcomes)} runs did not end" if len(outcomes) < wanted else ""
    return (
        f"{statistics.median(outages):.0f} ms ({outages[0]:.0f}-{outages[-1]:.0f}, {len(outages)} runs), "
        f"lost {lost} of {total}{failed}"
    )


def loss_rows(runs: int, wanted_name: str) -> list[str]:
    """Measure the cases of `sentinel_losses`."""
    rows = []
    for name, goal, run in LOSSES:
        if wanted_name not in name or ("cut off" in name and not can_be_apart()):
            continue
        theirs, ours = measure(name, run, "redis", min(runs, 2)), measure(name, run, "holdfast", runs)
        rows.append(f"| {name} | {theirs} | {ours} | {goal} |")
    return rows


def main() -> None:
    """Run all cases and write the page, or run some and print."""
    parser = argparse.ArgumentParser(
        description="Outage and loss, ours and Redis beside; all write the page."
    )
    parser.add_argument("runs", nargs="?", type=int, default=5, help="of each case (5)")
    parser.add_argument("part", nargs="?", default="", help="of the names of the cases to run and to print")
    asked = parser.parse_args()
    runs, wanted_name = asked.runs, asked.part
    text = HEAD + "\n".join(outage_rows(runs, wanted_name)) + "\n"
    text += LOSS_HEAD + "\n".join(loss_rows(min(runs, 3), wanted_name)) + "\n" + TAIL
    if wanted_name:
        print(text)
        return
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text)


HEAD = """\
# Failover: outage and loss

Measured by `python -m tests.reliability.sentinel_outage`: three nodes and three Sentinels as processes on one
machine, one writer without pause (four writers of 50 writes a batch for the planned failover). The
outage is the longest gap between two acknowledged writes, as median (fastest-slowest, runs); lost
are acknowledged writes that the final primary does not have. `min-replicas-to-ack` is 0, and all else
has its default: around our nodes the lease is on.

| what | redis-sentinel around redis-server | our Sentinels around redis-server | ours around ours | goal |
| --- | --- | --- | --- | --- |
"""
LOSS_HEAD = """
Lost, one figure a run, of all that was acknowledged in these runs. Down-after is 1 s, but for the last two
rows 5 s. A cut is a network namespace unplugged from its bridge, with a client on the same machine.

| what | redis-sentinel around redis-server | ours around ours | goal |
| --- | --- | --- | --- |
"""
TAIL = """
A crash costs the lease and a tenth more, from the last token that the dead primary gave: the figures of
ours around ours hold it, those around redis-server have no lease. A planned failover of stock servers
pauses writes, polls the replica's INFO until it has everything, and promotes it; with `FAILOVER TO` it
took 357 to 804 ms (8 runs), since a paused redis-server asks its replicas for nothing.

Of nodes of ours two fences and the order to lead are each written to a state file and fsynced before they
count, one behind the other, and no other writing is waited for. In the simulator, where each sync takes 10 ms
and a state file needs two, that is an outage of 60 ms (120 ms before the lease was granted ahead of the
Sentinels' files). Whatever else keeps disk and cores busy comes on top: ten processes take turns in it.

The tables were taken at a load of 7 to 12 on four cores, most of it of the lowest priority. In an earlier
table one SIGSTOP run of three took 31 s; it did not come back in 32 more. A Sentinel that was
behind with the list of voters could then hold up elections, which has been mended since.

What is lost at a cut is what the primary acknowledged between the cut and the end of its lease: the client
notes when each acknowledgement came, and the last that was lost had come 211 and 217 ms after the cut
(lease: 300 ms; grants are renewed six times in it), none later than the lease. With
`min-replicas-to-write` Redis bounds the same only by its lag, in whole seconds.

The lease costs the write path one look at the clock before a tick and one after it, both compiled: Python
runs only when the lease changes. Instructions are counted (`python -m tests.reliability.lease_cost
instructions 4`, the node under callgrind, one client, the least of four rounds): 18,669 per SET without a
lease and 18,716 with it at pipeline 1, 2,572 and 2,564 at 16, 1,643 and 1,647 at 100; function by function
the two looks are 150 a tick. These are the process's own; what the kernel does for each tick comes on top in
both cases.
"""

if __name__ == "__main__":
    main()
