"""Whether the cluster serves: all slots covered, and a majority of the primaries in reach.

What it is: the judgement, with its delays. What it is not: what a client is told.

Redis judges reach by what it suspects. Here a primary counts others only by their answers
to its own pings: a process that was stopped and reads what piled up meanwhile hears many
and has reached nobody.

A failed primary with a working replica leaves its slots uncovered for the moment of an
election: the other slots are served on for that moment, as failing over is under way.
"""

from __future__ import annotations

from holdfast.cluster import flags
from holdfast.cluster.model import Node, View

MAX_REJOIN_MS = 5000
MIN_REJOIN_MS = 500
WRITABLE_MS = 2000
"""How long a primary that starts waits, so that others can tell it what it missed."""
ELECTION_GRACE_MS = 1500
LEAST_REACH_MS = 500


def judge(view: View, now_ms: int) -> None:
    """Set `View.is_ok` and `View.size`."""
    view.must_judge = False
    voters = [each for each in view.nodes.values() if each.flags & flags.PRIMARY and each.slots]
    view.size = len(voters)
    view.in_minority = _is_minority(view, voters, now_ms)
    if view.first_look_ms is None:
        view.first_look_ms = now_ms
    if view.me.is_primary and not view.is_ok and now_ms - view.first_look_ms < WRITABLE_MS:
        return
    is_ok = not view.settings.require_full_coverage or _is_covered(view, voters, now_ms)
    if view.in_minority:
        is_ok = False
        view.minority_ms = now_ms
    if is_ok == view.is_ok:
        return
    rejoin_ms = min(max(view.settings.node_timeout, MIN_REJOIN_MS), MAX_REJOIN_MS)
    if is_ok and view.me.is_primary and now_ms - view.minority_ms < rejoin_ms:
        return
    view.is_ok = is_ok
    view.log(f"Cluster state changed: {'ok' if is_ok else 'fail'}", "notice" if is_ok else "warning")


def is_in_minority(view: View, now_ms: int) -> bool:
    """Whether a majority of the primaries is out of reach now: an heir of ours may have been elected.

    Where nobody has slots there is nobody to reach.
    """
    voters = [each for each in view.nodes.values() if each.flags & flags.PRIMARY and each.slots]
    return bool(voters) and _is_minority(view, voters, now_ms)


def _is_minority(view: View, voters: list[Node], now_ms: int) -> bool:
    return sum(_in_reach(view, each, now_ms) for each in voters) < len(voters) // 2 + 1


def _in_reach(view: View, node: Node, now_ms: int) -> bool:
    if node is view.me:
        return True
    if node.is_suspect or node.is_failed:
        return False
    if not view.me.is_primary:
        return True
    return now_ms - node.answered_ms <= max(view.settings.node_timeout, LEAST_REACH_MS)


def _is_covered(view: View, voters: list[Node], now_ms: int) -> bool:
    for each in voters:
        if each.is_failed:
            is_young = now_ms - each.fail_ms < ELECTION_GRACE_MS and view.is_ok
            if not (is_young and each.working_replicas()):
                return False
    return not view.unowned
