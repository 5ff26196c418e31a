"""A pool that follows its servers' roles."""

from collections.abc import Callable, Sequence
from typing import Any

from holdfast.proxy.hash_pool import HashPool
from holdfast.proxy.shapes import Backend, Client, Exchange, Shard

class Standing:
    """What a pool knows of a server that is read from (`Backend.facts`)."""

    readable: bool
    reached: int
    fresh_at: float
    round_trip_s: float
    opening: tuple[tuple[bytes, ...], ...]

class FollowingPool(HashPool):
    """Shards whose primaries change."""

    policy: int
    lag_most_s: float
    own_writes: bool
    sampled: list[int]
    doubted: Callable[[Shard, Backend], object] | None

    def __init__(self, exchange: Exchange, name: str, **options: Any) -> None: ...
    def lay_out_shards(self, shards: Sequence[Shard], weights: Sequence[int]) -> None:
        """Take the shards, whose primaries are not known yet; a hash shares out the keys among them."""
    def open_server(self, host: str, port: int) -> Backend:
        """Return a new backend."""
    def open_replica(self, host: str, port: int) -> Backend:
        """Return a new backend that is read from."""
    def let_wait(self, client: Client) -> bool:
        """Let a client wait for a primary with what cannot be held; False: it did, in vain."""
    def wake(self) -> None:
        """A primary is known: who waits looks again."""
    def refuse_held(self, shard: Shard) -> None:
        """Answer what is held with an error."""
