"""The pool of nutcracker.yml: servers shared out by a hash of the key."""

from collections.abc import Sequence

from holdfast.proxy.distribution import Distribution
from holdfast.proxy.shapes import Backend, Exchange, Pool

class HashPool(Pool):
    """Servers that share out the keys by a hash, each a shard of its own."""

    distribution: Distribution

    def __init__(
        self,
        exchange: Exchange,
        name: str,
        *,
        hash_name: str = "fnv1a_64",
        distribution: str = "ketama",
        hash_tag: bytes = b"",
        password: bytes | None = None,
        database: int = 0,
        connections: int = 1,
        timeout_ms: int = 0,
        ejects: bool = False,
        retry_ms: int = 30000,
        failure_limit: int = 2,
        seed: int = 1,
    ) -> None: ...
    def take_servers(self, servers: Sequence[tuple[str, str, int, int]]) -> list[Backend]:
        """Begin with (name, host or path, port or 0, weight) each, and return the backends that are gone."""
    def retire(self) -> None:
        """Stop the timer: the pool is not used any more."""
    def live(self) -> list[bool]:
        """Return of each server whether it is not ejected."""
