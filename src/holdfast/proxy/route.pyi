"""One request: where it goes."""

from collections.abc import Sequence

from holdfast.proxy.shapes import Exchange, Target

def keys_of_call(exchange: Exchange, words: Sequence[bytes]) -> list[bytes] | None:
    """Return the keys by which a call is routed; None when it has none or makes no sense."""

def shards_of_call(exchange: Exchange, target: Target, words: Sequence[bytes]) -> set[int]:
    """Return the ordinals of the shards that the keys of a call belong to."""
