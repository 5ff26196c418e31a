"""Who leads and who follows in a new cluster, so that one host's death takes little with it. Pure.

No replica lives on the host of its primary, and no two of one shard on the same host, wherever the
hosts allow it; primaries are spread over the hosts. What cannot be kept apart is said.

How to read it: `place` makes a `Layout`; `crowding` is what it makes small; `follow` finds the
primary for one more replica.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.cluster.jobs.balance import NoPlan, shares
from holdfast.cluster.jobs.topology import SLOTS

PRIMARIES_LEAST = 3


@dataclass(frozen=True)
class Layout:
    """A new cluster."""

    primaries: tuple[str, ...]
    replicas: Mapping[str, str]
    """Replica: its primary."""
    ranges: Mapping[str, tuple[int, int]]
    """Primary: first and last slot."""
    warnings: tuple[str, ...]


def place(hosts: Mapping[str, str], replicas: int, weights: Mapping[str, float] | None = None) -> Layout:
    """Lay out a cluster of nodes (name: host), in the order given. Raises NoPlan."""
    count = len(hosts) // (replicas + 1)
    if count < PRIMARIES_LEAST:
        needed = PRIMARIES_LEAST * (replicas + 1)
        raise NoPlan(f"a cluster has {PRIMARIES_LEAST} primaries at least: with {replicas} replicas each, "
                     f"that takes {needed} nodes, and {len(hosts)} were given")  # fmt: skip
    order = _by_turns(hosts)
    primaries, spare = order[:count], order[count:]
    shards = {name: [name] for name in primaries}
    for _ in range(replicas + 1):
        for name in primaries:
            if spare and len(shards[name]) <= replicas:
                there = {hosts[each] for each in shards[name]}
                left = Counter(hosts[each] for each in spare)
                best = min(spare, key=lambda each: (hosts[each] in there, -left[hosts[each]]))
                spare.remove(best)
                shards[name].append(best)
    for each in spare:  # more nodes than the division needs
        name = min(
            primaries, key=lambda name: (hosts[each] in {hosts[e] for e in shards[name]}, len(shards[name]))
        )
        shards[name].append(each)
    _swap_apart(shards, hosts)
    wanted = shares({name: (weights or {}).get(name, 1.0) for name in primaries})
    if any(not share for share in wanted.values()):
        raise NoPlan("a new primary has to hold slots: give it a weight")
    ranges, first = {}, 0
    for name in primaries:
        ranges[name] = (first, first + wanted[name] - 1)
        first += wanted[name]
    assert first == SLOTS
    followers = {each: name for name, members in shards.items() for each in members[1:]}
    return Layout(tuple(primaries), followers, ranges, tuple(_warnings(shards, hosts)))


def crowding(shards: Mapping[str, Sequence[str]], hosts: Mapping[str, str]) -> int:
    """Count what one host's death would take together: a replica beside its primary counts most."""
    points = 0
    for members in shards.values():
        count = Counter(hosts[each] for each in members)
        points += sum(each - 1 for each in count.values())
        points += 100 * (count[hosts[members[0]]] - 1)
    return points


def follow(host: str, shards: Mapping[str, Sequence[str]]) -> str:
    """Choose the primary for one more replica: fewest replicas first, then no other member on that host.

    `shards`: primary: the hosts of its members, its own first.
    """
    if not shards:
        raise NoPlan("there is no primary with slots that could be followed")
    return min(
        shards, key=lambda name: (len(shards[name]), host == shards[name][0], host in shards[name], name)
    )


def _by_turns(hosts: Mapping[str, str]) -> list[str]:
    """Order nodes so that hosts take turns."""
    queues: dict[str, list[str]] = {}
    for name, host in hosts.items():
        queues.setdefault(host, []).append(name)
    order = []
    while any(queues.values()):
        for queue in queues.values():
            if queue:
                order.append(queue.pop(0))
    return order


def _swap_apart(shards: dict[str, list[str]], hosts: Mapping[str, str]) -> None:
    """Swap replicas between shards as long as that keeps more of them apart."""
    places = [(name, at) for name, members in shards.items() for at in range(1, len(members))]
    points, better = crowding(shards, hosts), True
    while points and better:
        better = False
        for number, (name, at) in enumerate(places):
            for other, there in places[number + 1 :]:
                one, two = shards[name], shards[other]
                one[at], two[there] = two[there], one[at]
                now = crowding(shards, hosts)
                if now < points:
                    points, better = now, True
                else:
                    one[at], two[there] = two[there], one[at]


def _warnings(shards: Mapping[str, Sequence[str]], hosts: Mapping[str, str]) -> list[str]:
    said = []
    for name, members in shards.items():
        together = [each for each in members[1:] if hosts[each] == hosts[name]]
        if together:
            said.append(f"{', '.join(together)} shares the host of its primary {name}")
    leads = Counter(hosts[name] for name in shards)
    host, most = leads.most_common(1)[0]
    if len(leads) > 1 and most * 2 >= len(shards):
        said.append(f"{host} holds {most} of {len(shards)} primaries: without it no majority is left")
    return said
