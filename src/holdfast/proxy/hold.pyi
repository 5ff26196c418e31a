"""Requests that wait for a backend, in their order."""

from holdfast.proxy.shapes import Shard

def expire(shard: Shard) -> None:
    """Fail the requests that have waited longer than the pool lets them."""

def refuse_all(shard: Shard, line: bytes) -> None:
    """Answer all that wait with an error line (the shard is taken out of the configuration)."""
