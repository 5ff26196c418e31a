"""Deliberate faults of Sentinels: each must be seen by the judges of a run with Sentinels.

What this is: the entries of `SENTINEL_MUTATIONS`, mistakes put into each Sentinel of a run
before it starts, and one of nodes that only Sentinels bring to light. What it is not: other
faults of nodes (`mutations`), or those of the lease that only a judge of each moment sees
(`tests/sentinel/lease_swarm.py`).

How to read it: one function a mistake, its summary in the decorator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from holdfast.node.sentinel import SentinelNode
from holdfast.node.sentinel_orders import SentinelOrders
from holdfast.node.server import ServerNode
from holdfast.replication.fence import FenceReport, PromoteOrder, Standing
from holdfast.replication.orders import order_words
from holdfast.sentinel.fetching import Fetch
from holdfast.sentinel.hello import parse_hello
from holdfast.sentinel.model import Failover, Instance, Primary, Sentinel, VoterList
from holdfast.sentinel.takeover import Lead, Wait
from holdfast.sim.sentinels import GROUP
from holdfast.sim.swarm.mutations import CarelessDisk, Mutation

SENTINEL_MUTATIONS: dict[str, Mutation] = {}


def of_sentinels(name: str, summary: str) -> Callable[[Callable[[SentinelNode], None]], None]:
    """Declare a fault that the decorated function puts into a Sentinel."""

    def declare(change: Callable[[SentinelNode], None]) -> None:
        SENTINEL_MUTATIONS[name] = Mutation(summary, adapt_sentinels=(change,))

    return declare


def before_each_look(name: str, summary: str) -> Callable[[Callable[[Sentinel, Primary], None]], None]:
    """Declare a fault that the decorated function makes in what a Sentinel knows, before each look at it."""

    def declare(change: Callable[[Sentinel, Primary], None]) -> None:
        def put_in(node: SentinelNode) -> None:
            machine: Any = node.machine
            look = machine.look

            def wrong(now_ms: int) -> None:
                change(node.sentinel, node.sentinel.primaries[GROUP])
                node.sentinel.stir()
                look(now_ms)

            machine.look = wrong

        SENTINEL_MUTATIONS[name] = Mutation(summary, adapt_sentinels=(put_in,))

    return declare


# ---- whom to promote ----


class Stalest(SentinelOrders):
    """Orders by which the copy leads that has least."""

    def choose(self, epoch: int, leader: str, reports: Any, *more: Any) -> Lead | Fetch | Wait:
        """Wait as long as one must, then choose wrongly."""
        choice = super().choose(epoch, leader, reports, *more)
        told = [each for each in reports if isinstance(each, FenceReport) and each.is_known]
        if isinstance(choice, Wait) or not told:
            return choice
        worst = min([each for each in told if each.intact] or told, key=lambda each: each.position)
        order = PromoteOrder(epoch, leader, worst.position, not worst.intact)
        return Lead(worst.node_id, order_words(order), "", True)


@of_sentinels("sentinel-promotes-stalest", "the leader promotes the copy that has least")
def promotes_stalest(node: SentinelNode) -> None:
    node.sentinel.orders = Stalest()


Misread = Callable[[FenceReport], FenceReport]


class Misreading(SentinelOrders):
    """Orders by which each report counts as something else."""

    def __init__(self, misread: Misread, asks_all: bool) -> None:
        """`asks_all`: whoever has not answered is waited for."""
        self._misread, self._asks_all = misread, asks_all

    def choose(self, epoch: int, leader: str, reports: Any, known: Any, *more: Any) -> Lead | Fetch | Wait:
        """Choose rightly among wrong reports."""
        told = [self._misread(each) for each in reports if isinstance(each, FenceReport)]
        if not self._asks_all:
            known = [each.node_id for each in told if each.is_known]
        return super().choose(epoch, leader, told, known, *more)


def misreads(name: str, summary: str, misread: Misread, *, asks_all: bool) -> None:
    """Declare a fault of a leader in what it makes of the reports."""

    def put_in(node: SentinelNode) -> None:
        node.sentinel.orders = Misreading(misread, asks_all)

    of_sentinels(name, summary)(put_in)


misreads(
    "sentinel-promotes-hastily", "the leader counts no members: who has answered will do",
    lambda report: replace(report, record=None), asks_all=False,
)  # fmt: skip
misreads(
    "sentinel-trusts-the-lost", "a copy that has lost what it acknowledged counts as whole",
    lambda report: replace(report, intact=report.is_known), asks_all=True,
)  # fmt: skip


# ---- votes ----


@of_sentinels("sentinel-votes-twice", "a vote is forgotten as soon as it is given: the next has it too")
def votes_twice(node: SentinelNode) -> None:
    sentinel: Any = node.sentinel
    tell = sentinel.tell_text

    def forget(epoch: int) -> None:
        primary = sentinel.primaries[GROUP]
        primary.leader_epoch = min(primary.leader_epoch, epoch - 1)

    def wrong(event: str, text: str, *more: Any, **named: Any) -> None:
        tell(event, text, *more, **named)
        if event == "+vote-for-leader":
            node.loop.call_soon(forget, int(text.rpartition(" ")[2]))

    sentinel.tell_text = wrong


@before_each_look("sentinel-counts-silence", "a candidate counts everybody's vote as its own")
def counts_silence(sentinel: Sentinel, primary: Primary) -> None:
    if primary.failover is Failover.WAIT_START:
        for each in primary.sentinels.values():
            each.vote, each.vote_epoch = sentinel.my_id, primary.failover_epoch


@before_each_look("sentinel-drops-the-dead", "a Sentinel that is down drops out of the count")
def drops_the_dead(sentinel: Sentinel, primary: Primary) -> None:
    primary.voter_list = VoterList()
    for name in [name for name, each in primary.sentinels.items() if each.is_sdown]:
        del primary.sentinels[name]


@of_sentinels("sentinel-skips-fsync", "a vote is given before it is on stable storage")
def skips_fsync(node: SentinelNode) -> None:
    changed: Any = node.host
    changed.disk = CarelessDisk(node.host.disk, lambda path, mode: True)
    changed.disk.sync_dir = lambda path: None


@of_sentinels("sentinel-forgets", "nothing that a Sentinel learns is written to its file")
def forgets(node: SentinelNode) -> None:
    sentinel: Any = node.sentinel
    sentinel.persist = lambda: None


@of_sentinels("sentinel-leaves-strays", "who leads or waits where it should follow is left alone")
def leaves_strays(node: SentinelNode) -> None:
    sentinel: Any = node.sentinel
    take = sentinel.on_info

    def wrong(instance: Instance, text: str, now_ms: int) -> None:
        primary = sentinel.primaries[GROUP]
        is_stray = "role:master" in text or "standing:fenced" in text
        if is_stray and not isinstance(instance, Primary) and not primary.in_failover:
            return
        take(instance, text, now_ms)

    sentinel.on_info = wrong


@of_sentinels("sentinel-believes-anybody", "whatever another Sentinel says of the primary is believed")
def believes_anybody(node: SentinelNode) -> None:
    machine: Any = node.machine
    take = machine.hello

    def wrong(text: str, now_ms: int) -> None:
        hello, primary = parse_hello(text), node.sentinel.primaries[GROUP]
        if hello is not None and not primary.current_address.is_at(hello.primary_host, hello.primary_port):
            primary.config_epoch = min(primary.config_epoch, hello.config_epoch - 1)
        take(text, now_ms)

    machine.hello = wrong


# ---- the lease ----


@before_each_look(
    "sentinel-waits-for-no-lease", "a leader promotes before the old primary's lease has run out"
)
def waits_for_no_lease(sentinel: Sentinel, primary: Primary) -> None:
    primary.granted_until_ms = 0
    for each in primary.sentinels.values():
        each.vote_wait_until_ms = 0


def leads_on(name: str, node: ServerNode) -> None:
    """Let a primary that was started again lead as if nobody could have taken its place."""
    standing: Any = node.replication.standing
    start = standing.start

    def wrong(*arguments: Any) -> None:
        start(*arguments)
        if standing.node.standing is Standing.CANDIDATE:
            standing.node = replace(standing.node, standing=Standing.PRIMARY)

    standing.start = wrong


SENTINEL_MUTATIONS["restarted-primary-leads-on"] = Mutation(
    "a primary keeps its lease over a restart", adapt=(leads_on,)
)
