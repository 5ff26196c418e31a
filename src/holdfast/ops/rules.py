"""When a process is started again, and as what; in which order all of them stop. Pure.

What it is: the decisions of the supervisor. What it is not: their execution.

The rule for data nodes: a node that led and whose copy may lack what its replicas have must
not lead again by itself. So it is held back until the Sentinels name another, and then comes
back as a replica of that one. It may come back as it is only if nobody else could lead: no
other data node lives. One whose files are gone while others still have theirs is held back
for good: an empty primary would be worth nothing, and to stock replicas it is deadly. A node
of ours that once led starts as a candidate in any case, and takes no writes until a leader
orders it (`holdfast.replication.fence.started`); the rule here also covers stock engines.

How to read it: `Situation` is what is known, `next_start` the decision, `STOP_ORDER` the end.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.ops.plan import Kind

BACK_OFF_S = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0)
HEALTHY_AFTER_S = 10.0
"""A process that ran for so long begins with the shortest pause again."""
OTHER_LEADS_WAIT_S = 10.0
"""How long a primary that died waits for another to be named while others live."""
STOP_ORDER = (Kind.PROXY, Kind.SENTINEL)
"""Clients first, then who would take the stopping for a failure. The primary comes next: it waits
for its replicas and writes its snapshot. The replicas are last, and hold what it held."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known when a data node is to start."""

    is_managed: bool
    """There are Sentinels, or a cluster, that can promote another."""
    leads: bool
    """It is named as the primary, as far as anybody answers."""
    leader: str
    """Who is named as the primary by a majority that answers; empty: nobody."""
    others_live: bool
    """At least one other data node runs."""
    has_files: bool
    others_have_files: bool
    is_first_start: bool
    """No process of this deployment has ever run."""
    waited_s: float
    is_cluster: bool = False


@dataclass(frozen=True, slots=True)
class StartAsIs:
    """Start with its own configuration file."""


@dataclass(frozen=True, slots=True)
class StartFollowing:
    """Start as a replica of the node that leads."""

    leader: str


@dataclass(frozen=True, slots=True)
class HoldBack:
    """Not yet."""

    reason: str


Start = StartAsIs | StartFollowing | HoldBack


def next_start(situation: Situation) -> Start:
    """Decide how a data node starts."""
    if situation.is_first_start or not situation.is_managed:
        return StartAsIs()
    if situation.leader and not situation.leads:
        # A cluster node reads in its own file, and then from the others, whom it follows.
        return StartAsIs() if situation.is_cluster else StartFollowing(situation.leader)
    if not situation.has_files and (situation.others_have_files or situation.others_live):
        return HoldBack("its disk is empty, and others live: it waits until another leads")
    if situation.others_live and situation.waited_s < OTHER_LEADS_WAIT_S:
        return HoldBack("it led when it ended: it waits until another leads")
    return StartAsIs()


def pause_before_start_s(failures: int) -> float:
    """Return how long to wait after so many failures in a row."""
    return BACK_OFF_S[min(max(failures, 1), len(BACK_OFF_S)) - 1]
