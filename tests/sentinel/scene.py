"""A Sentinel's model without processes: instances made by hand, effects looked at."""

from __future__ import annotations

import random

from holdfast.sentinel.effects import Effect, Persist, Send, Tell
from holdfast.sentinel.machine import Machine
from holdfast.sentinel.model import Address, Instance, LinkState, Primary, Sentinel
from holdfast.sentinel.settings import PrimaryOptions

ME = "a" * 40
START_MS = 1_000_000


class Scene:
    """One Sentinel, its machine, and a clock that the test moves."""

    def __init__(
        self, replicas: int = 2, others: int = 2, quorum: int = 2, down_after_ms: int = 1000
    ) -> None:
        self.now_ms = START_MS
        self.sentinel = Sentinel(ME, random.Random(1), START_MS)
        self.machine = Machine(self.sentinel)
        options = PrimaryOptions(quorum, down_after_ms=down_after_ms, failover_timeout_ms=6000)
        self.primary: Primary = self.sentinel.add_primary(
            "mymaster", Address("10.0.0.1", 6379, "10.0.0.1"), options, START_MS
        )
        self.replicas = [self._replica(number) for number in range(replicas)]
        self.others = [self._other(number) for number in range(others)]
        for each in (self.primary, *self.replicas, *self.others):
            each.link.command = each.link.pubsub = LinkState.UP
            each.link.was_up = True
            self.answers(each)

    def _replica(self, number: int) -> Instance:
        host = f"10.0.1.{number}"
        replica = self.sentinel.add_replica(self.primary, Address(host, 6379, host), START_MS)
        assert replica is not None
        replica.run_id = f"{number}" * 40
        replica.is_link_ok = True
        replica.primary_host, replica.primary_port = "10.0.0.1", 6379
        replica.info_ms = START_MS
        return replica

    def _other(self, number: int) -> Instance:
        host, name = f"10.0.2.{number}", "bcdefg"[number] * 40
        other = self.sentinel.add_sentinel(self.primary, Address(host, 26379, host), name, START_MS)
        assert other is not None
        return other

    def answers(self, instance: Instance) -> None:
        """The instance has answered everything until now."""
        link = instance.link
        link.ping_pending_since_ms = None
        link.available_ms = link.answered_ms = self.now_ms
        link.pubsub_heard_ms = self.now_ms
        instance.info_ms = instance.info_sent_ms = self.now_ms
        instance.hello_ms = self.now_ms

    def look(self, after_ms: int = 0) -> list[Effect]:
        """Let time pass in beats, all but the silent answering; return the effects."""
        self.now_ms += after_ms
        self.sentinel.looked_ms = self.now_ms
        self.machine.look(self.now_ms)
        return self.sentinel.take_effects()

    def told(self, effects: list[Effect]) -> list[str]:
        """Return the events among effects."""
        return [each.event for each in effects if isinstance(each, Tell)]

    def sent(self, effects: list[Effect], to: Instance) -> list[tuple[str, ...]]:
        """Return what was sent to an instance."""
        return [each.words for each in effects if isinstance(each, Send) and each.link is to.link]


def persisted_before(effects: list[Effect], event: str) -> bool:
    """Tell whether the state was written before an event was told."""
    for each in effects:
        if isinstance(each, Persist):
            return True
        if isinstance(each, Tell) and each.event == event:
            return False
    return False


def elect(scene: Scene) -> None:
    """Let the primary die, and the others agree and vote for us."""
    refuse(scene)
    scene.now_ms += 5
    for each in scene.replicas:
        scene.answers(each)
        each.is_link_ok = False
    for each in scene.others:
        each.says_down, each.down_reply_ms = True, scene.now_ms


def refuse(scene: Scene) -> None:
    """The primary's connection ends, and a fresh one is refused."""
    scene.machine.lost(scene.primary.link, False, False, scene.now_ms)
    scene.machine.lost(scene.primary.link, False, True, scene.now_ms)
