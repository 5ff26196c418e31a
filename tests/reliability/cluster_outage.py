"""How long writers of a cluster wait when a primary dies, is stopped, or hands over: ours and Redis's.

`python -m tests.reliability.cluster_outage` starts clusters of 3 primaries and 3 replicas as
real processes, writes to each shard some hundred times a second from a process of its own
(`cluster_writer`), and prints, for every fault, the longest time without a successful write: on the
shard that the fault hit, and on the other two. The fault `none` shows what the machine alone
does to such writers. Acknowledged writes of all shards that are missing afterwards are counted.

`--kinds`, `--faults`, `--timeouts` and `--runs` choose; `--settle` is the time a run lasts
after the replica was promoted.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.processes import OURS, STOCK, Cluster, until
from tests.reliability.cluster_writer import Writer, lost_writes

KEYS = ("{06S}", "{c}", "{a}")
"""One key prefix a shard: slots 0, 7365 and 15495."""
REPLY_S = {"stop": 0.1}
"""How long a writer waits for a reply before it asks another node, by fault: a stopped process gives
none. Where processes answer or are gone, nothing is gained by haste."""
PATIENCE_S = 10.0
WARM_UP_S = 1.5
SETTLE_S = 3.0
PROMOTED_S = 60.0
"""How long a promotion may take: redis-server waits four node timeouts after an election that failed."""


@dataclass(frozen=True)
class Outcome:
    """What one run showed: seconds, and a count."""

    outage_s: float
    stall_s: float
    lost: int


def one_run(cluster: Cluster, fault: str, settle_s: float) -> Outcome:
    """Write, let the fault happen to the first shard, and look."""
    shards = list(zip(cluster.primaries, cluster.replicas, KEYS, strict=True))
    writers = [
        Writer(
            [("127.0.0.1", primary.port), ("127.0.0.1", replica.port)],
            prefix,
            REPLY_S.get(fault, PATIENCE_S),
        )
        for primary, replica, prefix in shards
    ]
    time.sleep(WARM_UP_S)  # they get into their stride: part of what is measured
    victim, began = cluster.primaries[0], time.monotonic()
    match fault:
        case "kill":
            victim.process.kill()
        case "stop":
            victim.signal(signal.SIGSTOP)
        case "by hand":
            cluster.replicas[0].cluster("FAILOVER")
    heir = cluster.replicas[0]
    if fault != "none":
        until(heir.is_primary, "promoted", PROMOTED_S)
    time.sleep(settle_s)
    ended = time.monotonic()
    seen = [each.stop() for each in writers]
    gaps = [each.longest_gap_s(began, ended) for each in seen]
    leaders = [cluster.primaries[0] if fault == "none" else heir, *cluster.primaries[1:]]
    lost = sum(
        lost_writes(leader.client, prefix, each)
        for leader, prefix, each in zip(leaders, KEYS, seen, strict=True)
    )
    return Outcome(gaps[0], max(gaps[1:]), lost)


def measure(kind: str, fault: str, timeout_ms: int, settle_s: float) -> Outcome:
    """Make a cluster, let one fault happen, end it."""
    with tempfile.TemporaryDirectory() as directory:
        cluster = Cluster(Path(directory), [kind] * 3, [kind] * 3, timeout_ms)
        try:
            cluster.join()
            until(lambda: all(each.state() == "ok" for each in cluster.nodes), "ok")
            return one_run(cluster, fault, settle_s)
        finally:
            cluster.close()


def main() -> None:
    """Measure what was asked for, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=[OURS, STOCK])
    parser.add_argument("--faults", nargs="+", default=["none", "kill", "stop", "by hand"])
    parser.add_argument("--timeouts", nargs="+", type=int, default=[1000, 5000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--settle", type=float, default=SETTLE_S)
    given = parser.parse_args()
    print("| fault | node timeout | server | outage, median (longest) | stall of the others | lost | load |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for fault in given.faults:
        for timeout_ms in given.timeouts:
            for kind in given.kinds:
                runs = [measure(kind, fault, timeout_ms, given.settle) for _ in range(given.runs)]
                outages = [each.outage_s for each in runs]
                stalls = [each.stall_s for each in runs]
                print(
                    f"| {fault} | {timeout_ms / 1000:g} s | {kind} "
                    f"| {statistics.median(outages) * 1000:.0f} ms ({max(outages) * 1000:.0f} ms) "
                    f"| {statistics.median(stalls) * 1000:.0f} ms ({max(stalls) * 1000:.0f} ms) "
                    f"| {', '.join(str(each.lost) for each in runs)} | {os.getloadavg()[0]:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
