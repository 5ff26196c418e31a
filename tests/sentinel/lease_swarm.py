"""The lease under any faults: seeds, the judge, and deliberate faults that it must see.

What this is: whole groups in virtual time, clocks up to 10 % apart, whose Sentinels and nodes are
cut, paused, killed and started again; at no moment may two nodes take writes. Odd seeds have a
lease that is longer than down-after, so that every wait is needed. `MUTATIONS` drops one rule
each. What it is not: proof of liveness, but that one leads again at the end.

How to read it: `run_seed`, then the mutations. Longer:
python -m tests.sentinel.lease_swarm FIRST LAST [mutation].
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from holdfast.node.server import ServerNode
from holdfast.replication.lease import Grant, Lease
from holdfast.sentinel import granting
from holdfast.sim import World
from tests.sentinel.simulated import SimulatedGroup

ROUNDS = 7
DRIFT = 0.04
"""Each clock runs within this of the true one, so no two are further than 10 % apart."""
Watch = Callable[[float], None]


def run_seed(
    seed: int, adapt: Callable[[ServerNode], None] = lambda node: None, fault: Fault | None = None
) -> list[str]:
    """Run one seed, with any faults or this one alone; return what went wrong."""
    with World(seed) as world:
        luck = world.luck("faults")
        wrong: list[str] = []

        def judge() -> bool:
            leading = made.leading()
            if len(leading) > 1:
                wrong.append(f"{world.now:.2f} {leading} take writes")
            return bool(wrong)

        def judged(node: ServerNode) -> None:
            adapt(node)
            keeper: Any = node.replication.lease
            grant = keeper.grant

            def granted(session: object, words: list[bytes]) -> object:
                reply = grant(session, words)
                judge()
                return reply

            keeper.grant = granted

        long_lease = {"down_after_ms": 600, "extra": "sentinel primary-lease-ms mymaster 1500\n"}
        made = SimulatedGroup(world, adapt=judged, **(long_lease if seed % 2 else {}))
        world.run_until(made.knows_all, 60)
        for name in (*made.names, *made.sentinels):
            world.drift(name, luck.uniform(1 - DRIFT, 1 + DRIFT))
        world.run_until(made.lease_held, 30)

        def watch(seconds: float) -> None:
            end = world.now + seconds
            world.run_until(lambda: judge() or world.now >= end, seconds + 1)

        for _ in range(ROUNDS):
            (fault or luck.choice(FAULTS))(world, luck, made, watch)
            watch(luck.uniform(0.1, 2.5))
            if wrong:
                return wrong
        world.run_until(made.agreed, 90)
        return wrong


# ---- faults ----


def _primary(made: SimulatedGroup) -> str:
    leading = made.leading()
    return leading[0] if leading else made.names[0]


def _others(made: SimulatedGroup, side: list[str]) -> list[str]:
    return [each for each in (*made.names, *made.sentinels) if each not in side]


def minority(world: World, luck: random.Random, made: SimulatedGroup, watch: Watch) -> None:
    """Cut off the primary with at most one Sentinel and at most one replica."""
    primary = _primary(made)
    side = [primary, *luck.sample(list(made.sentinels), luck.randrange(2))]
    side += luck.sample([each for each in made.names if each != primary], luck.randrange(2))
    world.partition(side, _others(made, side))
    watch(luck.uniform(0.5, 5))
    world.heal_all()


def paused(world: World, luck: random.Random, made: SimulatedGroup, watch: Watch) -> None:
    """Stop the primary's process; it goes on later and reads what waited."""
    primary = _primary(made)
    world.pause(primary)
    watch(luck.uniform(0.2, 4))
    world.resume(primary)


def forgetful(world: World, luck: random.Random, made: SimulatedGroup, watch: Watch) -> None:
    """Cut off the primary with one Sentinel, and restart the two others."""
    sentinels = luck.sample(list(made.sentinels), len(made.sentinels))
    side = [_primary(made), sentinels[0]]
    world.partition(side, _others(made, side))
    for name in sentinels[1:]:
        world.restart(name)
    watch(luck.uniform(0.5, 4))
    world.heal_all()


def killed(world: World, luck: random.Random, made: SimulatedGroup, watch: Watch) -> None:
    """Kill anybody; it comes back."""
    victim = luck.choice([*made.names, *made.sentinels])
    world.kill(victim)
    watch(luck.uniform(0.05, 3))
    world.start(victim)


def unwatched(world: World, luck: random.Random, made: SimulatedGroup, watch: Watch) -> None:
    """Let no Sentinel hear anybody, so that the replicas grant; then all but the primary meet again."""
    primary, sentinels = _primary(made), list(made.sentinels)
    for name in sentinels:
        world.partition([name], _others(made, [name]))
    watch(luck.uniform(1.5, 5))
    world.heal_all()
    world.partition([primary], _others(made, [primary]))
    watch(luck.uniform(0.5, 4))
    world.heal_all()


def cut_off(world: World, luck: random.Random, made: SimulatedGroup, watch: Watch) -> None:
    """Cut off anybody."""
    victim = luck.choice([*made.names, *made.sentinels])
    world.partition([victim], _others(made, [victim]))
    watch(luck.uniform(0.5, 5))
    world.heal_all()


def one_blind(world: World, luck: random.Random, made: SimulatedGroup, watch: Watch) -> None:
    """Cut one Sentinel off the primary, where its word is enough (quorum 1): the others hear it well."""
    for node in made.sentinels.values():
        node.sentinel.primaries["mymaster"].options.quorum = 1
    world.partition([_primary(made)], [luck.choice(list(made.sentinels))])
    watch(luck.uniform(1, 5))
    world.heal_all()


Fault = Callable[[World, random.Random, SimulatedGroup, Watch], None]
FAULTS: tuple[Fault, ...] = (minority, paused, forgetful, killed, unwatched, cut_off, one_blind)


# ---- deliberate faults ----


@contextmanager
def _replaced(place: Any, name: str, wrong: object) -> Iterator[Callable[[ServerNode], None]]:
    right = getattr(place, name)
    setattr(place, name, wrong)
    try:
        yield lambda node: None
    finally:
        setattr(place, name, right)


@contextmanager
def _in_nodes(change: Callable[[ServerNode], None]) -> Iterator[Callable[[ServerNode], None]]:
    yield change


class RenewedByArrival(Lease):
    """A lease that ends after the arrival of a grant, whenever its token was given."""

    def take(self, grant: Grant, epoch: int, leads: bool, now_us: int) -> None:
        """Take the time of arrival for the token."""
        fresh = Grant(
            grant.sentinel, grant.lease_ms, grant.epoch, grant.run_id,
            now_us if grant.token_us else 0, grant.voters, grant.wish, grant.nodes,
        )  # fmt: skip
        super().take(fresh, epoch, leads, now_us)


class WithoutMajority(Lease):
    """A lease that one grant is enough for."""

    def _settle(self) -> None:
        super()._settle()
        self.ends_us = max((until for until, _ in self._until.values()), default=0)


def _lease_of(kind: type[Lease]) -> Callable[[ServerNode], None]:
    def change(node: ServerNode) -> None:
        node.replication.lease.lease = kind(node.run_id)

    return change


def _promises_nothing(node: ServerNode) -> None:
    keeper: Any = node.replication.lease
    keeper.promised_ms = lambda: 0


def _one_replica_is_enough(node: ServerNode) -> None:
    grants: Any = node.replication.lease.grants

    def settle(could_lead: object, attached: object) -> None:
        grants.ends_us = max(grants._until.values(), default=0)

    grants.settle = settle


def _grants_whatever_it_voted(node: Any) -> bool:
    return bool(node.lease_token) and node is granting.leading(node.group)


@dataclass(frozen=True)
class Mutation:
    """A rule that is dropped, and under which fault that shows."""

    drop: Callable[[], Any]
    fault: Fault


MUTATIONS: dict[str, Mutation] = {
    "the leader does not wait": Mutation(
        lambda: _replaced(granting, "wait_until_ms", lambda primary: 0), minority
    ),
    "a restarted Sentinel forgets its grants": Mutation(
        lambda: _replaced(granting, "after_start", lambda primary, now_ms: None), forgetful
    ),
    "a vote does not end the granting": Mutation(
        lambda: _replaced(granting, "may_grant", _grants_whatever_it_voted), one_blind
    ),
    "a grant counts from its arrival": Mutation(lambda: _in_nodes(_lease_of(RenewedByArrival)), paused),
    "one grant is a majority": Mutation(lambda: _in_nodes(_lease_of(WithoutMajority)), minority),
    "a replica that granted leads at once": Mutation(lambda: _in_nodes(_promises_nothing), unwatched),
    "one replica grants for all": Mutation(lambda: _in_nodes(_one_replica_is_enough), minority),
}


def seen(name: str, seed: int) -> list[str]:
    """Run one seed with a mutation and its fault; return what the judge saw."""
    mutation = MUTATIONS[name]
    with mutation.drop() as adapt:
        try:
            return run_seed(seed, adapt, mutation.fault)
        except AssertionError as error:
            print(name, seed, "did not end:", error, flush=True)
            return []


def main() -> None:
    """Run seeds FIRST to LAST, or find the first that sees a mutation, in steps of two."""
    first, last = int(sys.argv[1]), int(sys.argv[2])
    if len(sys.argv) > 3:
        found = next((seed for seed in range(first, last, 2) if seen(sys.argv[3], seed)), None)
        print(f"{sys.argv[3]}: {'not seen' if found is None else f'seen in seed {found}'}", flush=True)
        return
    for seed in range(first, last):
        try:
            print(seed, run_seed(seed), flush=True)
        except AssertionError as error:
            print(seed, "did not end:", error, flush=True)


if __name__ == "__main__":
    main()
