"""How long clients of a proxy wait when a primary fails, what they see, and what is lost.

What it is: fault runs with real processes. Four clients that know one address write
numbered keys without pause; the Sentinels' outage is the time from the fault to their
naming another primary, as a client that asks them sees it. What it is not: the outage of
the Sentinels alone (`sentinel_outage`).

How to read it: `CASES` says what is done; `run_case` does it once; `main` prints the table and
writes docs/reliability/proxy.md. Run: python -m tests.reliability.proxy_outage [runs [part of a case's name]]
"""

from __future__ import annotations

import itertools
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.ports import free_port
from tests.proxy.clusters import cluster, cluster_pool
from tests.proxy.groups import sentinel_pool, settled
from tests.proxy.peers import proxy_process
from tests.sentinel.group import Group, until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability" / "proxy.md"
CLIENTS = 4


class Client:
    """Writes numbered keys through the proxy, one at a time, and remembers what came of each."""

    def __init__(self, port: int, name: str) -> None:
        self._port, self._name = port, name
        self.acknowledged: list[tuple[float, str]] = []
        self.errors: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        client = redis.Redis(port=self._port, socket_timeout=60, retry=None)
        for number in itertools.count():
            if self._stop.is_set():
                break
            key = f"{self._name}:{number}"
            try:
                client.set(key, "x")
                self.acknowledged.append((time.monotonic(), key))
            except redis.RedisError as error:
                self.errors.append(str(error))

    def stop(self) -> None:
        """Write no more."""
        self._stop.set()
        self._thread.join(60)

    def outage_ms(self, fault: float) -> float:
        """Return the longest gap between acknowledgements that ends after the fault."""
        times = [at for at, _ in self.acknowledged]
        return max((after - before) * 1000 for before, after in itertools.pairwise(times) if after > fault)


@dataclass(frozen=True)
class Outcome:
    """One run."""

    sentinel_ms: float
    outage_ms: float
    errors: int
    acknowledged: int
    lost: int


def kill(made: Group) -> None:
    """Kill the primary."""
    made.nodes[0].process.kill()


def stop(made: Group) -> None:
    """Stop the primary."""
    made.nodes[0].signal(signal.SIGSTOP)


def planned(made: Group) -> None:
    """SENTINEL FAILOVER."""
    made.sentinels[0].client.sentinel_failover("mymaster")


CASES: tuple[tuple[str, Callable[[Group], None]], ...] = (
    ("planned failover", planned),
    ("kill -9 of the primary", kill),
    ("SIGSTOP of the primary", stop),
)


CLUSTER_CASES = (
    ("CLUSTER FAILOVER", "planned"),
    ("kill -9 of a cluster's primary", "kill"),
    ("SIGSTOP of a cluster's primary", "stop"),
)


class Asker:
    """Asks all Sentinels every few milliseconds who leads, and notes when that changes."""

    def __init__(self, ports: list[int], old: int) -> None:
        self._ports, self._old = ports, old
        self.changed_at = 0.0
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        clients = [redis.Redis(port=port, socket_timeout=1) for port in self._ports]
        while not self.changed_at:
            for each in clients:
                try:
                    told = each.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME mymaster")
                except redis.RedisError:
                    continue
                if told and int(told[1]) != self._old:
                    self.changed_at = time.monotonic()
                    return
            time.sleep(0.002)  # there is nothing to await but their answers


def run_case(fault: Callable[[Group], None], nodes: str, sentinels: str) -> Outcome:
    """Do one run."""
    port = free_port()
    with settled(nodes, sentinels, 3, 1000) as made:
        text = sentinel_pool(port, [each.port for each in made.sentinels], failover__hold__ms=30000)
        with proxy_process(text, port):
            clients = [Client(port, str(number)) for number in range(CLIENTS)]
            until(lambda: all(len(each.acknowledged) > 200 for each in clients), "the clients write")
            asker = Asker([each.port for each in made.sentinels], made.nodes[0].port)
            begun = time.monotonic()
            fault(made)
            until(lambda: asker.changed_at, "another leads", 60)
            until(
                lambda: all(each.acknowledged[-1][0] > asker.changed_at + 0.5 for each in clients),
                "writes go on",
                60,
            )
            for each in clients:
                each.stop()
        if fault is stop:
            made.nodes[0].signal(signal.SIGCONT)
        final = redis.Redis(port=made.primary_of(made.sentinels[1]))
        keys = [key for each in clients for _, key in each.acknowledged]
        there = sum(int(final.exists(*keys[at : at + 5000])) for at in range(0, len(keys), 5000))
        return Outcome(
            (asker.changed_at - begun) * 1000,
            max(each.outage_ms(begun) for each in clients),
            sum(len(each.errors) for each in clients),
            len(keys),
            len(keys) - there,
        )


def run_cluster(how: str, kind: str) -> Outcome:
    """Do one run with a cluster of three shards: CLUSTER FAILOVER, or a primary killed or stopped."""
    port = free_port()
    with cluster(kind, 3, 1) as made, proxy_process(cluster_pool(port, [made.nodes[0].port]), port):
        clients = [Client(port, str(number)) for number in range(CLIENTS)]
        until(lambda: all(len(each.acknowledged) > 200 for each in clients), "the clients write")
        replica = next(each for each in made.nodes if each.client.info("replication")["role"] == "slave")
        primary_port = int(replica.client.info("replication")["master_port"])
        primary = next(each for each in made.nodes if each.port == primary_port)
        begun = time.monotonic()
        if how == "planned":
            replica.client.execute_command("CLUSTER FAILOVER")
        elif how == "kill":
            primary.kill()
        else:
            primary.signal(signal.SIGSTOP)
        until(lambda: replica.client.info("replication")["role"] == "master", "the replica leads", 60)
        changed = time.monotonic()
        until(lambda: all(each.acknowledged[-1][0] > changed + 0.5 for each in clients), "writes go on", 60)
        for each in clients:
            each.stop()
        keys = [key for each in clients for _, key in each.acknowledged]
        reader = redis.Redis(port=port)
        there = sum(int(reader.exists(*keys[at : at + 1000])) for at in range(0, len(keys), 1000))
        if how == "stop":
            primary.signal(signal.SIGCONT)
        return Outcome(
            (changed - begun) * 1000,
            max(each.outage_ms(begun) for each in clients),
            sum(len(each.errors) for each in clients),
            len(keys),
            len(keys) - there,
        )


def row_of(name: str, backend: str, outcomes: list[Outcome]) -> str:
    """Return a row of the table."""
    beyond = [each.outage_ms - each.sentinel_ms for each in outcomes]
    cells = [
        name,
        backend,
        f"{statistics.median(each.sentinel_ms for each in outcomes):.0f} ms",
        f"{statistics.median(each.outage_ms for each in outcomes):.0f} ms",
        f"{statistics.median(beyond):.0f} ms (at most {max(beyond):.0f})",
        ", ".join(str(each.errors) for each in outcomes),
        f"{sum(each.lost for each in outcomes)} of {sum(each.acknowledged for each in outcomes)}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run all cases and write the page."""
    if "--help" in sys.argv:
        print(__doc__)
        return
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    rows = []
    for name, fault in CASES:
        for nodes, sentinels in (("redis", "redis"), ("redis", "holdfast"), ("holdfast", "holdfast")):
            if wanted in name:
                outcomes = [run_case(fault, nodes, sentinels) for _ in range(runs)]
                backend = {"redis": "stock", "holdfast": "ours"}
                rows.append(row_of(name, f"{backend[nodes]} nodes, {backend[sentinels]} Sentinels", outcomes))
                print(rows[-1], flush=True)
    for name, how in CLUSTER_CASES:
        for kind, backend in (("redis", "stock cluster"), ("holdfast", "our cluster")):
            if wanted in name:
                rows.append(row_of(name, backend, [run_cluster(how, kind) for _ in range(runs)]))
                print(rows[-1], flush=True)
    if not wanted:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(HEAD + "\n".join(rows) + "\n")


HEAD = """\
# Failover behind the proxy

Measured by `python -m tests.reliability.proxy_outage`: three nodes and three Sentinels (down-after 1 s), or a
cluster of three primaries with a replica each (node timeout 1.5 s), and the proxy, as processes on one
machine; four clients that know the proxy's address alone write without pause, one request at a time. The
backend's outage is the time from the fault until a Sentinel names another primary (cluster: until the
replica leads); the clients' is the longest gap between two acknowledged writes of one client; both as
medians. Errors are those that clients saw, run by run: after a kill at most the one request that each client
had open, whose outcome is unknown. Lost are acknowledged writes that the final primary does not have;
`min-replicas-to-ack` is 0, so the backend promises none of the last ones.

With stock Sentinels a planned failover takes as long as they need to see the promotion (they ask once a
second); writes that the old primary would take meanwhile are lost without a proxy. The proxy holds them.

| what | backend | backend's outage | clients' outage | beyond | errors | lost |
| --- | --- | --- | --- | --- | --- | --- |
"""

if __name__ == "__main__":
    main()
