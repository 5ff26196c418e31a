"""A cluster behind one address: slots, and the errors by which its nodes redirect."""

from collections.abc import Callable, Sequence
from typing import Any

from holdfast.proxy.following_pool import FollowingPool
from holdfast.proxy.shapes import Backend, Exchange, Shard, Target

class ClusterTarget(Target):
    """Its `shards` has a place for each slot; `whole` has each shard once."""

    whole: list[Shard]
    changed: Callable[[], object] | None

    def __init__(self, name: str) -> None: ...

class ClusterPool(FollowingPool):
    """The shards of a cluster. `shards` only grows; `target` has those that own slots."""

    target: ClusterTarget
    redirected: Callable[[Shard | None, Backend | None, int, str, int], Shard | None]

    def __init__(self, exchange: Exchange, name: str, **options: Any) -> None: ...
    def add_shard(self, name: str) -> Shard:
        """Return a new shard, without a primary and slots."""
    def take_slots(self, owners: Sequence[Shard]) -> None:
        """Take the owner of each slot."""
    def give_slot(self, slot: int, shard: Shard) -> None:
        """One slot has moved."""
    def behind_what_was_sent(self, backend: Backend, passed: Callable[[bytes | None], object]) -> int:
        """Call `passed` once for each connection to a server when all that was sent on it is answered.

        Return how many connections that are."""
    def server_of(self, shard: Shard) -> Backend | None:
        """Return the server that leads a shard, as far as is known."""
