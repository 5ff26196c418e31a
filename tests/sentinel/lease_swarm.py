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
from typing import Any

from holdfast.node.server import ServerNode
from holdfast.replication.lease import Grant, Lease
from holdfast.sentinel import election, granting
from holdfast.sim import World
from tests.sentinel.simulated import SimulatedGroup

ROUNDS = 7
DRIFT = 0.04
"""Each clock runs within this of the true one, so no two are further than 10 % apart."""


def run_seed(seed: int, adapt: Callable[[ServerNode], None] = lambda node: None) -> list[str]:
    """Run one seed; return what went wrong."""
    with World(seed) as world:
        luck = world.luck("faults")
        long_lease = {"down_after_ms": 600, "extra": "sentinel primary-lease-ms mymaster 1500\n"}
        made = SimulatedGroup(world, adapt=adapt, **(long_lease if seed % 2 else {}))
        world.run_until(made.knows_all, 60)
        everyone = [*made.names, *made.sentinels]
        for name in everyone:
            world.drift(name, luck.uniform(1 - DRIFT, 1 + DRIFT))
        world.run_until(lambda: made.lease_held(), 30)
        wrong: list[str] = []

        def watch(seconds: float) -> None:
            end = world.now + seconds

            def look() -> bool:
                leading = made.leading()
                if len(leading) > 1:
                    wrong.append(f"{world.now:.2f} {leading} take writes")
                return bool(wrong) or world.now >= end

            world.run_until(look, seconds + 1)

        for _ in range(ROUNDS):
            _fault(world, luck, made, everyone, watch)
            if wrong:
                return wrong
        world.run_until(made.agreed, 90)
        return wrong


def _fault(
    world: World,
    luck: random.Random,
    made: SimulatedGroup,
    everyone: list[str],
    watch: Callable[[float], None],
) -> None:
    leading = made.leading()
    primary = leading[0] if leading else made.names[0]
    sentinels = list(made.sentinels)
    match luck.randrange(6):
        case 0:  # the primary with a minority of the Sentinels, perhaps with a replica
            side = [primary, *luck.sample(sentinels, luck.randrange(2))]
            side += luck.sample([each for each in made.names if each != primary], luck.randrange(2))
            world.partition(side, [each for each in everyone if each not in side])
            watch(luck.uniform(0.5, 5))
            world.heal_all()
        case 1:
            world.pause(primary)
            watch(luck.uniform(0.2, 4))
            world.resume(primary)
        case 2:  # cut off, while a Sentinel forgets what it granted
            side = [primary]
            world.partition(side, [each for each in everyone if each not in side])
            for name in luck.sample(sentinels, 2):
                world.restart(name)
            watch(luck.uniform(0.5, 4))
            world.heal_all()
        case 3:
            victim = luck.choice(everyone)
            world.kill(victim)
            watch(luck.uniform(0.05, 3))
            world.start(victim)
        case 4:  # no Sentinel hears the primary, its replicas do
            world.partition([primary], sentinels)
            watch(luck.uniform(0.5, 5))
            if luck.random() < 0.5:
                world.partition([primary], [each for each in made.names if each != primary])
                watch(luck.uniform(0.2, 3))
            world.heal_all()
        case 5:
            victim = luck.choice(everyone)
            world.partition([victim], [each for each in everyone if each != victim])
            watch(luck.uniform(0.5, 5))
            world.heal_all()
    watch(luck.uniform(0.1, 2.5))


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


def _grants_whatever_it_voted(sentinel: Any, node: Any) -> bool:
    return bool(node.lease_token) and node is granting.leading(node.group)


MUTATIONS: dict[str, Callable[[], Any]] = {
    "the leader does not wait": lambda: _replaced(granting, "wait_until_ms", lambda primary: 0),
    "a restarted Sentinel forgets its grants": lambda: _replaced(
        granting, "after_start", lambda primary, now_ms: None
    ),
    "a vote does not end the granting": lambda: _replaced(granting, "may_grant", _grants_whatever_it_voted),
    "one vote is a majority": lambda: _replaced(
        election, "winner", lambda votes, voters, quorum: next(iter(votes), "")
    ),
    "a grant counts from its arrival": lambda: _in_nodes(_lease_of(RenewedByArrival)),
    "one grant is a majority": lambda: _in_nodes(_lease_of(WithoutMajority)),
    "a replica that granted leads at once": lambda: _in_nodes(_promises_nothing),
    "one replica grants for all": lambda: _in_nodes(_one_replica_is_enough),
}


def main() -> None:
    """Run seeds FIRST to LAST, under a mutation if one is named; print what is wrong."""
    first, last = int(sys.argv[1]), int(sys.argv[2])
    wanted = sys.argv[3] if len(sys.argv) > 3 else ""
    for seed in range(first, last, 2 if wanted else 1):
        if not wanted:
            try:
                print(seed, run_seed(seed), flush=True)
            except AssertionError as error:
                print(seed, "did not end:", error, flush=True)
            continue
        with MUTATIONS[wanted]() as adapt:
            wrong = run_seed(seed, adapt)
        if wrong:
            print(f"{wanted}: seen in seed {seed}: {wrong[0]}", flush=True)
            return
    if wanted:
        print(f"{wanted}: not seen", flush=True)


if __name__ == "__main__":
    main()
