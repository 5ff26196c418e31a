"""The scenario of a seed for a cluster: three shards, settings, and which faults come when.

What this is: luck turned into the text of a scenario, as in `draw`. What it is not: anything that
runs. In half of the seeds slots move (`slot_mover`); replicas do not move to other shards: what belongs
together stays so.
"""

from __future__ import annotations

import random
from dataclasses import replace

from holdfast.sim.swarm.draw import Drawn, Fault, drawn_breaks, drawn_faults

PRIMARIES = ("a", "b", "c")
REPLICAS = ("d", "e", "f", "g", "h", "i")
FORM_SECONDS = 6.0
"""The faults come so much later than in other kinds: a cluster has to be formed first."""
FAULT_SECONDS = 24.0
MOVING = 0.5
"""In which share of the seeds slots move."""
RATES = {4: 30, 40: 12}
"""Among how many, to how many writes a second of each client. Few are written to while they travel."""


def draw_cluster(seed: int, *, fault_seconds: float = FAULT_SECONDS) -> Drawn:
    """Return the run of a seed."""
    luck = random.Random(f"swarm/cluster/{seed}")
    names = (*PRIMARIES, *REPLICAS[: luck.choice((3, 3, 6))])
    needed = luck.choice((0, 1, 1, 1))
    settings = {
        "min-replicas-to-ack": str(needed),
        "min-replicas-to-ack-timeout": luck.choice(("300", "1000")),
        "ack-member-timeout": luck.choice(("1000", "5000")),
        "cluster-node-timeout": luck.choice(("500", "1000", "3000")),
        "cluster-require-full-coverage": luck.choice(("yes", "no")),
        "cluster-allow-replica-migration": "no",
        "cluster-replica-validity-factor": luck.choice(("0", "10")),
        "repl-timeout": luck.choice(("3", "10")),
        "repl-ping-replica-period": "1",
        "appendonly": luck.choice(("no", "no", "yes")),
        "appendfsync": luck.choice(("always", "everysec")),
    }
    words = ", ".join(f"{name} {value}" for name, value in settings.items())
    replicas = ", ".join(names[len(PRIMARIES) :])
    faults = drawn_faults(luck, names, ["c1", "c2"], True, fault_seconds)
    faults += drawn_breaks(luck, names, fault_seconds)
    begins: tuple[str, ...] = ("cluster clients 3 at 12 a second",)
    ends: tuple[str, ...] = ("write to every shard",)
    begun = random.Random(f"swarm/cluster/{seed}/epoch").choice(("", " all in epoch 1"))
    moves = random.Random(f"swarm/cluster/{seed}/moves")
    if moves.random() < MOVING:
        count = moves.choice((1, 1, 2))
        slots = moves.choice(tuple(RATES))
        movers = [f"slot mover {name} of {slots} slots" for name in ("m", "l")[:count]]
        rate = RATES[slots]
        begins = (f"cluster clients 3 at {rate} a second where {slots} slots move", *movers)
        ends = ("slots are in order within 300 s", "wait until convergence within 60 s", *ends)
    return Drawn(
        seed, names,
        ("judge a cluster", f"cluster of {', '.join(PRIMARIES)} with replicas {replicas}{begun} set {words}"),
        True, begins, tuple(_later(each) for each in faults),
        fault_seconds + FORM_SECONDS, 120, ends,
    )  # fmt: skip


def _later(fault: Fault) -> Fault:
    undo_at = fault.undo_at + FORM_SECONDS if fault.undo else 0.0
    return replace(fault, at=fault.at + FORM_SECONDS, undo_at=undo_at)
