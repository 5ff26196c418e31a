"""Which replica is promoted (https://redis.io/docs/management/sentinel/, "replica selection").

Reachable and fresh ones only; then the lowest priority (0: never), the highest offset,
the lowest run id. Pure. Nodes of ours are chosen by what they report when fenced
(`takeover`); this order is then only the preference.
"""

from __future__ import annotations

from holdfast.sentinel.model import Instance, Primary
from holdfast.sentinel.settings import Times


def is_candidate(replica: Instance, primary: Primary, times: Times, now_ms: int) -> bool:
    """Tell whether a replica may be promoted now."""
    down_ms = now_ms - primary.sdown_since_ms if primary.sdown_since_ms is not None else 0
    link_limit_ms = down_ms + primary.options.down_after_ms * 10
    info_limit_ms = times.ping_period * 5 if primary.is_sdown else times.info_period * 3
    return (
        not replica.is_sdown
        and not replica.is_stranger
        and replica.link.is_up
        and now_ms - replica.link.available_ms <= times.ping_period * 5
        and replica.priority != 0
        and replica.fails_writes_since_ms is None
        and replica.info_ms is not None
        and now_ms - replica.info_ms <= info_limit_ms
        and replica.link_down_ms <= link_limit_ms
    )


def ranked(primary: Primary, times: Times, now_ms: int) -> list[Instance]:
    """Return the replicas that may be promoted, the best first."""
    able = [each for each in primary.replicas.values() if is_candidate(each, primary, times, now_ms)]
    return sorted(
        able, key=lambda each: (each.priority, -each.offset, not each.run_id, each.run_id.lower(), each.name)
    )


def best_replica(primary: Primary, times: Times, now_ms: int) -> Instance | None:
    """Return the replica to promote, None for none."""
    return next(iter(ranked(primary, times, now_ms)), None)
