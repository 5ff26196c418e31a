"""What SENTINEL MASTERS, REPLICAS and SENTINELS tell of an instance, field by field, and INFO.

Names and order are those of redis-sentinel 7.2. Pure.
"""

from __future__ import annotations

from holdfast.sentinel.model import Instance, Primary, Reconf, Role, Sentinel

Fields = list[tuple[str, str]]


def flags(instance: Instance) -> str:
    """Return the flags of an instance."""
    words = ["s_down"] if instance.is_sdown else []
    if isinstance(instance, Primary) and instance.is_odown:
        words.append("o_down")
    words.append(instance.role.value)
    if instance.link.is_disconnected:
        words.append("disconnected")
    if instance.says_down:
        words.append("master_down")
    if isinstance(instance, Primary) and instance.in_failover:
        words.append("failover_in_progress")
    if instance.is_promoted:
        words.append("promoted")
    if instance.reconf is not Reconf.NONE:
        words.append(instance.reconf.value)
    if isinstance(instance, Primary) and instance.is_forced:
        words.append("force_failover")
    if instance.script_killed:
        words.append("script_kill_sent")
    if instance.rebooted_ms is not None:
        words.append("master_reboot")
    return ",".join(words)


def describe(sentinel: Sentinel, instance: Instance, now_ms: int) -> Fields:
    """Return all fields of an instance."""
    link, options = instance.link, instance.group.options
    pending = link.ping_pending_since_ms
    fields: list[tuple[str, object]] = [
        ("name", instance.name),
        ("ip", sentinel.shown(instance.address)),
        ("port", instance.address.port),
        ("runid", instance.run_id),
        ("flags", flags(instance)),
        ("link-pending-commands", link.pending_commands),
        ("link-refcount", link.owners),
    ]
    if isinstance(instance, Primary) and instance.in_failover:
        fields.append(("failover-state", instance.failover.value))
    fields += [
        ("last-ping-sent", now_ms - pending if pending is not None else 0),
        ("last-ok-ping-reply", now_ms - link.available_ms),
        ("last-ping-reply", now_ms - link.answered_ms),
    ]
    if instance.sdown_since_ms is not None:
        fields.append(("s-down-time", now_ms - instance.sdown_since_ms))
    if isinstance(instance, Primary) and instance.odown_since_ms is not None:
        fields.append(("o-down-time", now_ms - instance.odown_since_ms))
    fields.append(("down-after-milliseconds", options.down_after_ms))
    if instance.role is not Role.SENTINEL:
        fields += [
            ("info-refresh", now_ms - instance.info_ms if instance.info_ms is not None else 0),
            ("role-reported", instance.role_reported.value),
            ("role-reported-time", now_ms - instance.role_reported_ms),
        ]
    if isinstance(instance, Primary):
        fields += _of_primary(instance)
    elif instance.role is Role.REPLICA:
        fields += [
            ("master-link-down-time", instance.link_down_ms),
            ("master-link-status", "ok" if instance.is_link_ok else "err"),
            ("master-host", instance.primary_host or "?"),
            ("master-port", instance.primary_port),
            ("slave-priority", instance.priority),
            ("slave-repl-offset", instance.offset),
            ("replica-announced", int(instance.is_announced)),
        ]
    else:
        fields += [
            ("last-hello-message", now_ms - instance.hello_ms),
            ("voted-leader", instance.vote or "?"),
            ("voted-leader-epoch", instance.vote_epoch),
        ]
    return [(name, str(value)) for name, value in fields]


def _of_primary(primary: Primary) -> list[tuple[str, object]]:
    options = primary.options
    fields: list[tuple[str, object]] = [
        ("config-epoch", primary.config_epoch),
        ("num-slaves", len(primary.replicas)),
        ("num-other-sentinels", len(primary.sentinels)),
        ("quorum", options.quorum),
        ("failover-timeout", options.failover_timeout_ms),
        ("parallel-syncs", options.parallel_syncs),
    ]
    if options.notification_script:
        fields.append(("notification-script", options.notification_script))
    if options.client_reconfig_script:
        fields.append(("client-reconfig-script", options.client_reconfig_script))
    return fields


def info_section(sentinel: Sentinel, running: int, queued: int, now_ms: int) -> Fields:
    """Return INFO's section "sentinel"."""
    tilt = sentinel.tilt_since_ms
    crash = sentinel.crash_after_election + 2 * sentinel.crash_after_promotion
    fields = [
        ("sentinel_masters", str(len(sentinel.primaries))),
        ("sentinel_tilt", str(int(tilt is not None))),
        ("sentinel_tilt_since_seconds", str((now_ms - tilt) // 1000 if tilt is not None else -1)),
        ("sentinel_running_scripts", str(running)),
        ("sentinel_scripts_queue_length", str(queued)),
        ("sentinel_simulate_failure_flags", str(crash)),
    ]
    for number, primary in enumerate(sentinel.primaries.values()):
        status = "odown" if primary.is_odown else "sdown" if primary.is_sdown else "ok"
        where = f"{sentinel.shown(primary.address)}:{primary.address.port}"
        fields.append(
            (
                f"master{number}",
                (
                    f"name={primary.name},status={status},address={where},"
                    f"slaves={len(primary.replicas)},sentinels={primary.voters}"
                ),
            )
        )
    return fields
