"""Granting the lease: while we grant, we help nobody else to lead, and the other way round.

What it is: the Sentinel's side of `holdfast.replication.lease`. Every node of ours is told
who the voters are; the primary gets back the token that its last answer carried. What it
is not: the wait before a promotion, which `failover` takes from `wait_until_ms`.

Rules:
- Having voted in an epoch, a Sentinel grants nothing to a primary of a lower one.
- A leader promotes nobody before the lease that its voters may have granted until they
  voted has run out by its own clock, with a tenth for clocks that run apart; unless the old
  primary itself has reported that it is fenced.
- Fewer than three voters, or one that is not ours, and there is no lease.

How to read it: `lease_ms` says whether there is one; `periodic` sends; `wait_until_ms`.
"""

from __future__ import annotations

from holdfast.sentinel.model import Failover, Instance, Primary, Role, Sentinel
from holdfast.sentinel.reply_reader import Reply, ReplyError

GRANTS_A_LEASE = 4
VOTERS_MIN = 3
CLOCKS_APART = 1.1


def lease_ms(primary: Primary) -> int:
    """Return how long grants of ours last, 0 for no lease."""
    if primary.voters < VOTERS_MIN or not all(each.is_ours for each in primary.sentinels.values()):
        return 0
    return primary.options.lease_ms


def applies(primary: Primary) -> bool:
    """Tell whether the primary's writes hang on a lease."""
    return bool(primary.node_id) and lease_ms(primary) > 0


def leading(primary: Primary) -> Instance:
    """Return the node that leads as far as we know."""
    if primary.promoted is not None and primary.failover in (
        Failover.RECONF_REPLICAS,
        Failover.UPDATE_CONFIG,
    ):
        return primary.promoted
    return primary


def periodic(sentinel: Sentinel, node: Instance, now_ms: int) -> None:
    """Tell a node of ours about the lease when it is due."""
    primary, duration_ms = node.group, lease_ms(node.group)
    if not node.node_id or not node.link.is_up or node.role is Role.SENTINEL:
        return
    if not duration_ms and not node.knows_lease:
        return
    is_leading = node is leading(primary)
    period_ms = duration_ms // GRANTS_A_LEASE if is_leading and duration_ms else sentinel.times.ping_period
    if now_ms - node.granted_ms >= period_ms:
        grant(sentinel, node, now_ms)


def grant(sentinel: Sentinel, node: Instance, now_ms: int) -> None:
    """Send a grant, or the mere list of voters to who may have none."""
    primary, duration_ms = node.group, lease_ms(node.group)
    may_have = (
        node is leading(primary)
        and node.lease_epoch >= primary.leader_epoch
        and primary.failover in (Failover.NONE, Failover.RECONF_REPLICAS, Failover.UPDATE_CONFIG)
        and sentinel.tilt_since_ms is None
    )
    had_token = bool(node.lease_token)

    def answered(reply: Reply, at_ms: int) -> None:
        match reply:
            case [int(token), str(run_id), int(epoch)]:
                node.lease_token, node.lease_run_id, node.lease_epoch = token, run_id, epoch
                if not had_token:
                    grant(sentinel, node, at_ms)
            case ReplyError():
                node.lease_token = 0

    node.granted_ms, node.knows_lease = now_ms, True
    voters = sorted((sentinel.my_id, *primary.sentinels))
    sentinel.send(
        node, "HOLDFAST", "LEASE", sentinel.my_id, str(duration_ms), str(node.lease_epoch),
        node.lease_run_id or "-", str(node.lease_token if may_have else 0), *voters, on_reply=answered,
    )  # fmt: skip


def wait_until_ms(primary: Primary) -> int:
    """Return when a leader may promote: what its voters granted has ended by then."""
    if not applies(primary):
        return primary.elected_ms
    return primary.elected_ms + int(lease_ms(primary) * CLOCKS_APART) + 1
