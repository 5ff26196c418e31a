"""Whether a node is down: in our own eyes, and in those of a quorum.

What it is: pure questions over the model. Nothing is changed here.

How to read it: `is_down` is SDOWN (https://redis.io/docs/management/sentinel/), `hung_connection`
and `silent_pubsub` say which connections to make anew, `agreeing` counts for ODOWN.

Known death. The parent of the primary's process, or who holds its pidfd, reports the end of its run
id: nothing is doubted, and no lease of that process need be waited for (`takeover`).

Fast-down. A crash is seen at once: the established connection ended and a fresh one
was refused. That alone proves nothing (a moved port, a firewall, maxclients do it to a
live primary), so no reachable replica may still hear the primary, and at least one
must have said, after the suspicion began, that it does not. The quorum is counted as
ever, so each Sentinel that agrees has seen the same for itself.
"""

from __future__ import annotations

from enum import Enum

from holdfast.sentinel.model import Instance, LinkState, Primary, Role, Sentinel
from holdfast.sentinel.settings import BEAT_MS, Times

FAILOVER_TAKES_MS = 2000
"""A primary that loads, or refuses writes, for longer than this is replaced sooner than awaited."""


class Suspicion(Enum):
    """What the fast way says."""

    NONE = "none"
    UNSURE = "the replicas have not answered yet, or one still hears the primary"
    CONFIRMED = "confirmed"


def suspicion(primary: Primary) -> Suspicion:
    """Return whether a primary whose port refuses is dead."""
    since = primary.link.refused_since_ms
    if since is None or not primary.options.fast_down:
        return Suspicion.NONE
    reachable = [each for each in primary.replicas.values() if each.link.is_up and not each.is_sdown]
    if not reachable:
        return Suspicion.NONE
    for each in reachable:
        if (
            each.info_ms is None
            or each.info_ms < since
            or each.info_sent_ms < since
            or follows(each, primary)
        ):
            return Suspicion.UNSURE
    return Suspicion.CONFIRMED


def follows(replica: Instance, primary: Primary) -> bool:
    """Tell whether a replica says that it hears this very primary."""
    return replica.is_link_ok and primary.address.is_at(replica.primary_host, replica.primary_port)


def is_doubted(primary: Primary, now_ms: int) -> bool:
    """Tell whether there is a doubt about a primary, or a failover: what else lives matters at once."""
    asked_ms = primary.link.ping_pending_since_ms
    return (
        (asked_ms is not None and now_ms - asked_ms > 2 * BEAT_MS)
        or primary.sdown_since_ms is not None
        or primary.odown_since_ms is not None
        or primary.in_failover
        or primary.link.refused_since_ms is not None
    )


def silent_ms(instance: Instance, now_ms: int) -> int:
    """Return for how long a node has owed a good answer."""
    link = instance.link
    if link.ping_pending_since_ms is not None:
        return now_ms - link.ping_pending_since_ms
    return now_ms - link.available_ms if link.is_disconnected else 0


def is_down(instance: Instance, times: Times, now_ms: int) -> bool:
    """Return whether a node is subjectively down."""
    options = instance.group.options
    if silent_ms(instance, now_ms) > options.down_after_ms:
        return True
    if not isinstance(instance, Primary):
        return False
    reported_ms = now_ms - instance.role_reported_ms
    if instance.role_reported is Role.REPLICA and (
        reported_ms > options.down_after_ms + times.info_period * 2
    ):
        return True
    rebooted = instance.rebooted_ms
    if rebooted is not None and now_ms - rebooted > options.reboot_down_after_ms:
        return True
    loading = instance.link.loading_since_ms
    patience_ms = min(options.down_after_ms, FAILOVER_TAKES_MS)
    if loading is not None and instance.replicas and now_ms - loading > patience_ms:
        return True
    failing = instance.fails_writes_since_ms
    if failing is not None and now_ms - failing > patience_ms and _somebody_can_write(instance):
        return True
    if instance.lost_history or is_known_dead(instance):
        return True
    return suspicion(instance) is Suspicion.CONFIRMED


def is_known_dead(primary: Primary) -> bool:
    """Tell whether the very process that leads was reported to have ended, and has not answered since."""
    return (
        bool(primary.exited_run_id)
        and primary.exited_run_id == primary.run_id
        and primary.lease_run_id in ("", primary.exited_run_id)
        and primary.link.proved_ms <= primary.exited_ms
    )


def is_known_anew(sentinel: Sentinel, since_ms: int, now_ms: int) -> bool:
    """Tell whether everybody has answered since a moment, or has had down-after to do so.

    A replica or Sentinel that was down before is not waited for; a primary is, for it may be back.
    """
    return all(
        each.link.available_ms > since_ms
        or now_ms - since_ms > each.group.options.down_after_ms
        or (each.is_sdown and each is not primary)
        for primary in sentinel.primaries.values()
        for each in (primary, *primary.replicas.values(), *primary.sentinels.values())
    )


def _somebody_can_write(primary: Primary) -> bool:
    return any(
        each.link.is_up and not each.is_sdown and each.priority and each.fails_writes_since_ms is None
        for each in primary.replicas.values()
    )


def hung_connection(instance: Instance, times: Times, now_ms: int) -> bool:
    """Return whether the command connection should be made anew: it is old and owes an answer."""
    link = instance.link
    if link.ping_pending_since_ms is None or link.command is not LinkState.UP:
        return False
    half = instance.group.options.down_after_ms / 2
    return (
        now_ms - link.connected_ms > times.min_link_reconnect_period
        and now_ms - link.ping_pending_since_ms > half
        and now_ms - link.answered_ms > half
    )


def silent_pubsub(instance: Instance, times: Times, now_ms: int) -> bool:
    """Return whether the pub/sub connection has been silent for too long."""
    link = instance.link
    return (
        link.pubsub is LinkState.UP
        and now_ms - link.pubsub_connected_ms > times.min_link_reconnect_period
        and now_ms - link.pubsub_heard_ms > times.publish_period * 3
    )


def agreeing(primary: Primary) -> int:
    """Return how many Sentinels, this one included, say that the primary is down."""
    if not primary.is_sdown:
        return 0
    return 1 + sum(each.says_down for each in primary.sentinels.values())


def hears_majority(primary: Primary, times: Times, now_ms: int) -> bool:
    """Return whether most Sentinels have lately told us what they believe, so that we are not behind."""
    patience_ms = times.publish_period * 2
    heard = sum(
        each.link.is_up and now_ms - each.hello_ms <= patience_ms for each in primary.sentinels.values()
    )
    return heard + 1 > primary.voters // 2
