"""Planned failovers behind the proxy, many times under load: `python -m tests.reliability.proxy_switchovers`.

Run: python -m tests.reliability.proxy_switchovers [times] [holdfast|redis|mixed] [group|cluster]

What it is: a long run, not part of the suite. Clients that know one address write and read
without pause; a planned failover follows the other as soon as all replicas are in sync. Each
error that a client sees is printed with its text: a planned failover must give none. mixed:
stock nodes under our Sentinels. What it is not: a measurement of pauses (`proxy_outage`).

How to read it: `switch_group` and `switch_cluster` are one turn each; `main` counts.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable

import redis

from tests.ports import free_port
from tests.proxy.clusters import Cluster, cluster, cluster_pool
from tests.proxy.groups import (
    Writer,
    await_another_primary,
    lists_of_client,
    sentinel_pool,
    settled,
    write_past,
    writers,
)
from tests.proxy.peers import proxy_process
from tests.sentinel.group import Group, until

CLIENTS = 6
ATTEMPT_S = 6
"""After five seconds a CLUSTER FAILOVER is given up by the node itself."""


def switch_group(made: Group) -> None:
    """Have the Sentinels switch over once, and wait until all is as before."""
    old = made.primary_of(made.sentinels[0])
    replicas = [each for each in made.nodes if each.port != old]
    until(lambda: all(made.link_up(each) for each in replicas), "the replicas are in sync", 60)

    def begun() -> bool:
        try:
            return bool(made.sentinels[0].client.sentinel_failover("mymaster"))
        except redis.ResponseError:
            return False  # one is under way still, or no replica is good yet

    until(begun, "a failover begins", 60)
    await_another_primary(made, old)


def switch_cluster(made: Cluster) -> None:
    """Have a replica take over its primary's slots."""
    replica = next(each for each in made.nodes if each.client.info("replication")["role"] == "slave")
    until(lambda: replica.client.info("replication")["master_link_status"] == "up", "it is in sync", 60)
    asked_at = 0.0

    def leads() -> bool:
        nonlocal asked_at
        if time.monotonic() - asked_at > ATTEMPT_S:  # votes may be refused: nothing has happened then
            asked_at = time.monotonic()
            replica.client.execute_command("CLUSTER FAILOVER")
        return bool(replica.client.info("replication")["role"] == "master")

    until(leads, "the replica leads", 60)
    until(
        lambda: all(
            each.client.info("replication").get("master_link_status", "up") == "up" for each in made.nodes
        ),
        "all are in sync",
        60,
    )


def under_load(port: int, times: int, switch: Callable[[], None]) -> list[Writer]:
    """Switch over so many times while clients write; return what they saw."""
    seen = 0
    with writers(port, CLIENTS) as wrote:
        for turn in range(times):
            switch()
            write_past(wrote)
            errors = [error for each in wrote for error in each.errors]
            if len(errors) > seen:
                print(f"turn {turn}: {Counter(errors[seen:])}", flush=True)
                seen = len(errors)
    return wrote


def main() -> None:
    """Run, and exit with 1 if a client saw an error or lost a write that was acknowledged."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    kind = sys.argv[2] if len(sys.argv) > 2 else "holdfast"
    form = sys.argv[3] if len(sys.argv) > 3 else "group"
    port = free_port()
    if form == "group":
        nodes, sentinels = ("redis" if kind == "mixed" else kind), ("holdfast" if kind == "mixed" else kind)
        with settled(nodes, sentinels) as made:
            text = sentinel_pool(port, [each.port for each in made.sentinels])
            with proxy_process(text, port):
                wrote = under_load(port, times, lambda: switch_group(made))
                found = lists_of_client(redis.Redis(port=port), wrote)
    else:
        with (
            cluster(kind, 3, 1) as nodes_of,
            proxy_process(cluster_pool(port, [each.port for each in nodes_of.nodes]), port),
        ):
            wrote = under_load(port, times, lambda: switch_cluster(nodes_of))
            found = lists_of_client(redis.Redis(port=port), wrote)
    errors = Counter(error for each in wrote for error in each.errors)
    lost = sum(len(set(each.acknowledged) - set(there)) for each, there in zip(wrote, found, strict=True))
    twice = sum(len(there) - len(set(there)) for there in found)
    unordered = sum(there != sorted(there) for there in found)
    batches = sum(len(each.answered) for each in wrote)
    print(
        f"{kind} {form}: {times} switchovers, {batches} batches, errors {dict(errors)}, "
        f"lost {lost}, written twice {twice}, out of order {unordered}"
    )
    sys.exit(bool(errors or twice or unordered or (lost and kind == "holdfast")))


if __name__ == "__main__":
    main()
