"""How long writers of a cluster wait when a primary dies, is stopped, or hands over: ours and Redis's.

`python -m tests.reliability.cluster_outage` starts clusters of 3 primaries and 3 replicas as
real processes, writes to each shard about a thousand times a second, and prints, for every
fault, the longest time without a successful write: on the shard that the fault hit, and on
the other two. A writer asks the nodes of its shard in turn, whoever answers. Acknowledged
writes that are missing afterwards are counted.

`--kinds`, `--faults`, `--timeouts` and `--runs` choose; `--settle` is the time a run lasts
after its fault.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.processes import OURS, STOCK, Cluster, until

KEYS = ("{06S}", "{c}", "{a}")
"""One key prefix a shard: slots 0, 7365 and 15495."""
REPLY_S = 0.1
PACE_S = 0.001


@dataclass
class Writer:
    """Writes to one shard, and notes when it succeeds."""

    ports: list[int]
    prefix: str
    gaps: list[float] = field(default_factory=list)
    acknowledged: int = 0
    last: float = 0.0
    ends: bool = False

    async def run(self) -> None:
        """Write until it is told to end."""
        place, streams = 0, None
        while not self.ends:
            try:
                if streams is None:
                    port = self.ports[place % len(self.ports)]
                    streams = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), REPLY_S)
                reader, writer = streams
                key = f"{self.prefix}{self.acknowledged}".encode()
                writer.write(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\n1\r\n" % (len(key), key))
                reply = await asyncio.wait_for(reader.readline(), REPLY_S)
            except (OSError, TimeoutError):
                reply = b""
            now = time.monotonic()
            if reply == b"+OK\r\n":
                self.gaps.append(now - self.last if self.last else 0.0)
                self.last, self.acknowledged = now, self.acknowledged + 1
            else:
                if streams is not None:
                    streams[1].transport.abort()
                streams, place = None, place + 1
            await asyncio.sleep(PACE_S)


@dataclass(frozen=True)
class Outcome:
    """What one run showed: seconds, and a count."""

    outage_s: float
    stall_s: float
    lost: int


async def one_run(cluster: Cluster, fault: str, settle_s: float) -> Outcome:
    """Write, let the fault happen to the first shard, and look."""
    writers = [
        Writer([primary.port, replica.port], prefix)
        for primary, replica, prefix in zip(cluster.primaries, cluster.replicas, KEYS, strict=True)
    ]
    tasks = [asyncio.create_task(each.run()) for each in writers]
    await asyncio.sleep(1.5)
    for each in writers:
        each.gaps.clear()
    victim = cluster.primaries[0]
    match fault:
        case "kill":
            victim.process.kill()
        case "stop":
            victim.signal(signal.SIGSTOP)
        case "by hand":
            cluster.replicas[0].cluster("FAILOVER")
    await asyncio.sleep(settle_s)
    for each in writers:
        each.ends = True
    await asyncio.gather(*tasks)
    longest = [max(each.gaps, default=settle_s) for each in writers]
    leader = cluster.replicas[0]
    lost = sum(not leader.client.exists(f"{KEYS[0]}{number}") for number in range(writers[0].acknowledged))
    return Outcome(longest[0], max(longest[1:]), lost)


def measure(kind: str, fault: str, timeout_ms: int, settle_s: float) -> Outcome:
    """Make a cluster, let one fault happen, end it."""
    with tempfile.TemporaryDirectory() as directory:
        cluster = Cluster(Path(directory), [kind] * 3, [kind] * 3, timeout_ms)
        try:
            cluster.join()
            until(lambda: all(each.state() == "ok" for each in cluster.nodes), "ok")
            return asyncio.run(one_run(cluster, fault, settle_s))
        finally:
            cluster.close()


def main() -> None:
    """Measure what was asked for, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=[OURS, STOCK])
    parser.add_argument("--faults", nargs="+", default=["kill", "stop", "by hand"])
    parser.add_argument("--timeouts", nargs="+", type=int, default=[1000, 5000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--settle", type=float, default=0.0)
    given = parser.parse_args()
    print("| fault | node timeout | server | outage, median (longest) | stall of the others | lost |")
    print("| --- | --- | --- | --- | --- | --- |")
    for fault in given.faults:
        for timeout_ms in given.timeouts:
            for kind in given.kinds:
                settle_s = given.settle or 2.5 * timeout_ms / 1000 + 4
                runs = [measure(kind, fault, timeout_ms, settle_s) for _ in range(given.runs)]
                outages = [each.outage_s for each in runs]
                print(
                    f"| {fault} | {timeout_ms / 1000:g} s | {kind} "
                    f"| {statistics.median(outages) * 1000:.0f} ms ({max(outages) * 1000:.0f} ms) "
                    f"| {max(each.stall_s for each in runs) * 1000:.0f} ms "
                    f"| {', '.join(str(each.lost) for each in runs)} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
