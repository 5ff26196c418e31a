"""Which instances need no look, and until when.

What it is: while all is well with a group, nearly every look at an instance finds nothing to do.
So a look that has done everything notes when there can be something again, if nothing but good
answers comes meanwhile: the least of the periods. What it is not: a change of what is done or when;
a look that is left out would have done nothing.

Rules:
- Nobody of a group rests while there is a doubt about its primary, or a failover (`is_calm`).
- Whatever else may bring something forward (news from INFO or hello, a connection, a command)
  calls `Sentinel.stir`, and everybody is looked at.
- A PING that is owed an answer longer than `patience_ms` ends the rest of its instance, and so does
  the time when one is due; every sign of life puts that off.
- A grant that is due ends none: it is sent by itself, as often as six times a lease.

How to read it: `is_calm`, `rests` asks, `rest` notes.
"""

from __future__ import annotations

from holdfast.sentinel import asking, down, granting, takeover
from holdfast.sentinel.model import Instance, LinkState, Primary, Role, Sentinel


def is_calm(primary: Primary, now_ms: int) -> bool:
    """Tell whether nothing is doubted and nothing under way."""
    return not (down.is_doubted(primary, now_ms) or takeover.waits_for_leader(primary))


def may_rest(primary: Primary, now_ms: int) -> bool:
    """Tell whether instances of this group may be left alone."""
    return (
        is_calm(primary, now_ms)
        and primary.orphan_since_ms is None
        and not (primary.is_unsure or primary.is_planned or primary.hand_over_sent)
        and primary.takeover is None
        and primary.hand_over is None
        and not primary.options.forget_replicas_after_ms
    )


def rests(sentinel: Sentinel, instance: Instance, now_ms: int) -> bool:
    """Tell whether a look at an instance whose group may rest would find nothing, but for a grant."""
    if now_ms >= instance.rest_until_ms or instance.rest_stirs != sentinel.stirs:
        return False
    asked_ms = instance.link.ping_pending_since_ms
    if asked_ms is not None:
        return now_ms - asked_ms <= instance.patience_ms
    return now_ms - instance.link.answered_ms <= instance.ping_rest_ms


def surely_until_ms(instance: Instance) -> int:
    """Return until when not even a grant or an unanswered PING can end the rest; 0: that is not known."""
    link = instance.link
    if link.ping_pending_since_ms is not None or link.owners > 1:
        return 0
    until_ms = min(instance.rest_until_ms, link.answered_ms + instance.ping_rest_ms + 1)
    if instance.grant_period_ms:
        return min(until_ms, instance.granted_ms + instance.grant_period_ms)
    return until_ms


def rest(sentinel: Sentinel, instance: Instance, now_ms: int) -> None:
    """Note, right after a look, until when there is nothing to do."""
    instance.rest_stirs = sentinel.stirs
    instance.rest_until_ms = _until_ms(sentinel, instance, now_ms)


def _until_ms(sentinel: Sentinel, instance: Instance, now_ms: int) -> int:
    link, times, group = instance.link, sentinel.times, instance.group
    if instance.is_sdown or not link.is_up or link.pending_commands >= asking.PENDING_MAX:
        return 0
    if isinstance(instance, Primary) and _is_suspect(instance):
        return 0
    ping_ms = asking.ping_period_ms(sentinel, instance, now_ms)
    instance.ping_rest_ms, instance.patience_ms = ping_ms, min(ping_ms, group.options.down_after_ms) // 2
    until_ms = instance.published_ms + times.publish_period
    if link.has_pubsub:
        if link.pubsub is not LinkState.UP:
            return 0
        until_ms = min(until_ms, link.pubsub_heard_ms + times.publish_period * 3)
    if instance.role is not Role.SENTINEL:
        until_ms = min(until_ms, asking.info_due_ms(sentinel, instance))
    instance.grant_period_ms = granting.period_ms(sentinel, instance)
    return until_ms


def _is_suspect(primary: Primary) -> bool:
    return (
        primary.role_reported is not Role.PRIMARY
        or primary.rebooted_ms is not None
        or primary.link.loading_since_ms is not None
        or primary.fails_writes_since_ms is not None
        or primary.lost_history
        or bool(primary.exited_run_id)
        or any(each.says_down for each in primary.sentinels.values())
    )
