"""A pool of Sentinel groups: each group is a shard, its primary is whom the Sentinels name.

What it is: the wiring of `sentinel_ears` (what Sentinels say), `sentinel_view` (whom
to believe), `roles` (the proof and the change) and `replica_samples` (who may be read
from). Several groups share out the keys by the pool's hash. What it is not: the data
path (`following_pool`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.proxy.following_pool import FollowingPool
from holdfast.proxy.replica_samples import Sampler
from holdfast.proxy.roles import Follower
from holdfast.proxy.sentinel_ears import Ears
from holdfast.proxy.sentinel_view import HANDS_OVER, Address, GroupView, ReplicaWord, ends_hand_over
from holdfast.proxy.shapes import Backend, Exchange, Shard

RETIRE_LOOK_S = 0.05
HAND_OVER_S = 3.0
"""For a promotion to be seen by the Sentinels; after that the old primary is gone back to."""


class SentinelPool(FollowingPool):
    """Groups under the watch of Sentinels."""

    def __init__(
        self,
        exchange: Exchange,
        name: str,
        *,
        sentinels: Sequence[Address],
        masters: Sequence[tuple[str, int]],
        sentinel_password: bytes | None = None,
        **options: Any,
    ) -> None:
        """`masters` are (group, weight); `options` those of `HashPool`."""
        super().__init__(exchange, name, **options)
        shards = [Shard(self, group, place) for place, (group, _) in enumerate(masters)]
        self.lay_out_shards(shards, [weight for _, weight in masters])
        self.views = {group: GroupView() for group, _ in masters}
        self.ears = Ears(exchange, name, sentinels, sentinel_password, list(self.views))
        self.ears.on_primary = self._primary_told
        self.ears.on_replicas = self._replicas_told
        self.ears.on_silence = self._silent
        self.ears.on_event = self._event
        self._handing_over: dict[str, float] = {}
        self.ears.on_unknown = lambda group, sentinel: self.views[group].forget(sentinel)
        self.followers = {
            shard.name: Follower(self, shard, self._chooser(shard.name), self.ears.hurry) for shard in shards
        }
        self.doubted = self._doubted
        self.samplers: list[Sampler] = []
        self.replica_words: dict[str, dict[str, list[ReplicaWord]]] = {group: {} for group, _ in masters}

    def begin(self) -> None:
        """Ask the Sentinels; hold requests until they have answered."""
        if self.policy:
            self.ears.wants_replicas = True
            self.samplers = [Sampler(self, shard) for shard in self.shards]
            for sampler in self.samplers:
                sampler.step()
        self.ears.start()
        self.ears.hurry()

    def _chooser(self, group: str) -> Any:
        def choose() -> Address | None:
            current = self.followers[group].current
            address = None if current is None else (current.host, current.port)
            choice = self.views[group].choice(address)
            if choice == address and self._handing_over.get(group, 0.0) > self.exchange.loop.time():
                return None
            return choice

        return choose

    def _primary_told(self, group: str, sentinel: str, address: Address, epoch: int) -> None:
        self.views[group].told(sentinel, address, epoch)
        self.followers[group].consider()
        if self.ears.urgent and all(shard.primary is not None for shard in self.shards):
            self.ears.rest()

    def _event(self, group: str, event: str) -> None:
        """A replica is about to be promoted: hold what the old primary would take and lose."""
        if event == HANDS_OVER:
            follower = self.followers[group]
            if follower.shard.primary is not None:
                self._handing_over[group] = self.exchange.loop.time() + min(HAND_OVER_S, self.hold_ms / 2000)
                follower.pause()
        elif ends_hand_over(event):
            self._handing_over.pop(group, None)
            self.followers[group].consider()

    def _silent(self, sentinel: str) -> None:
        for view in self.views.values():
            view.lost(sentinel)
        for told in self.replica_words.values():
            told.pop(sentinel, None)

    def _replicas_told(self, group: str, sentinel: str, replicas: list[ReplicaWord]) -> None:
        self.replica_words[group][sentinel] = replicas
        words = self.replica_words[group].values()
        self.followers[group].take_replicas({each.address for told in words for each in told if each.usable})

    def _doubted(self, shard: Shard, backend: Backend) -> None:
        self.followers[shard.name].doubted(backend)

    def retire(self) -> None:
        """The pool is not used any more: follow until nothing waits, then close."""
        if any(shard.held_count for shard in self.shards) and self.exchange.node.clients.connections:
            self.exchange.loop.call_later(RETIRE_LOOK_S, self.retire)
            return
        self.ears.close()
        for sampler in self.samplers:
            sampler.close()
        for each in self.followers.values():
            each.close()
