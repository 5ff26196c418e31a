"""Routes by key prefix: one door, several pools."""

from collections.abc import Sequence

from holdfast.proxy.shapes import Shard, Target

class RouteTarget(Target):
    """What a door leads to: the pools of its routes."""

    whole: list[Shard]

    def __init__(self, name: str) -> None: ...
    def lead_to(self, routes: Sequence[tuple[bytes, Target]]) -> None:
        """Take (prefix, target) of each route; an empty prefix takes what no other does."""
