"""The groups of workloads, in the order in which they are run.

A group is one module with a name and a function that yields figures. To add
one (persistence, replication), write `bench/group_NAME.py` with `GROUP` and
`measure(bench)`, and name it here; options, tables and pictures follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench import (
    group_cluster,
    group_memory,
    group_persistence,
    group_proxy,
    group_replication,
    group_requests,
    group_stall,
    group_start,
)
from bench.figures import Figure
from bench.rounds import Bench


@dataclass(frozen=True)
class Group:
    """One module of workloads."""

    name: str
    title: str
    measure: Callable[[Bench], Iterator[Figure]]


GROUPS = (
    Group(group_requests.GROUP, "Server CPU per request, and throughput", group_requests.measure),
    Group(group_memory.GROUP, "Resident bytes per key", group_memory.measure),
    Group(group_stall.GROUP, "Longest stall while a table grows", group_stall.measure),
    Group(group_persistence.GROUP, "Saving, loading, syncing", group_persistence.measure),
    Group(group_start.GROUP, "Start to first PONG", group_start.measure),
    Group(group_proxy.GROUP, "Proxy: nutcracker (first column) and holdfast proxy", group_proxy.measure),
    Group(group_replication.GROUP, "Sync, lag, acknowledged writes", group_replication.measure),
    Group(group_cluster.GROUP, "Requests in cluster mode, one node and three", group_cluster.measure),
)
