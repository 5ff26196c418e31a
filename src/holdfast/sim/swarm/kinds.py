"""The kinds of swarms: from a seed to a drawn run."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.sim.swarm.draw import Drawn, draw, draw_with_sentinels
from holdfast.sim.swarm.draw_cluster import draw_cluster

KINDS: dict[str, Callable[[int], Drawn]] = {
    "replication": draw,
    "sentinel": draw_with_sentinels,
    "cluster": draw_cluster,
}
