"""Settings that the engine holds in fields of its own, because its hot paths read them.

`follow` copies the configuration into the engine once, and again whenever CONFIG
SET changes a value. Not here: what other parts read from the configuration
themselves when they need it.

How to read it: `PLAIN` are one-to-one; the functions are the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.engine import eviction, latency
from holdfast.server.config import Configuration
from holdfast.server.redaction import redacted

if TYPE_CHECKING:
    from holdfast.server.node import Node

PLAIN = {
    "hash-max-listpack-entries": "hash_max_listpack_entries",
    "hash-max-listpack-value": "hash_max_listpack_value",
    "set-max-intset-entries": "set_max_intset_entries",
    "set-max-listpack-entries": "set_max_listpack_entries",
    "set-max-listpack-value": "set_max_listpack_value",
    "zset-max-listpack-entries": "zset_max_listpack_entries",
    "zset-max-listpack-value": "zset_max_listpack_value",
    "list-max-listpack-size": "list_max_listpack_size",
    "list-compress-depth": "list_compress_depth",
    "proto-max-bulk-len": "proto_max_bulk_len",
    "client-query-buffer-limit": "query_buffer_limit",
    "lazyfree-lazy-user-del": "lazyfree_lazy_user_del",
    "lazyfree-lazy-expire": "lazyfree_lazy_expire",
    "lazyfree-lazy-eviction": "lazyfree_lazy_eviction",
    "lazyfree-lazy-server-del": "lazyfree_lazy_server_del",
    "replica-read-only": "replica_read_only",
    "replica-serve-stale-data": "replica_serve_stale",
    "latency-tracking": "latency_tracking",
    "maxmemory-samples": "maxmemory_samples",
    "maxmemory-eviction-tenacity": "maxmemory_eviction_tenacity",
    "active-expire-effort": "active_expire_effort",
    "lazyfree-lazy-user-flush": "lazyfree_lazy_user_flush",
    "replica-ignore-maxmemory": "replica_ignore_maxmemory",
}
"""Directive: attribute of the engine."""

GUARD_MIN_REPLICAS = 1 << 4

NOTIFY_BITS = {letter: 1 << bit for bit, letter in enumerate("KEg$lshzxetm")} | {"d": 1 << 13, "n": 1 << 14}
"""As `NotifyFlag` in engine/events.pxd."""

SLOW = ("slowlog-log-slower-than", "latency-monitor-threshold")
MEMORY = ("maxmemory", "maxmemory-policy", "lfu-log-factor", "lfu-decay-time")


def follow(node: Node) -> None:
    """Give the engine its settings, now and after every change."""
    configuration, engine = node.configuration, node.engine

    def plain(_: Configuration) -> None:
        for name, attribute in PLAIN.items():
            setattr(engine, attribute, configuration[name])

    def slow(_: Configuration) -> None:
        set_slow_threshold(node)

    def memory(_: Configuration) -> None:
        policy = configuration["maxmemory-policy"]
        eviction.set_policy(engine, policy, configuration["lfu-log-factor"], configuration["lfu-decay-time"])
        eviction.set_maxmemory(engine, configuration["maxmemory"])

    def notifications(_: Configuration) -> None:
        chosen = configuration["notify-keyspace-events"]
        engine.notify_flags = sum(NOTIFY_BITS[letter] for letter in chosen)

    def replicas(_: Configuration) -> None:
        engine.min_replicas_to_write = configuration["min-replicas-to-write"]
        needed = engine.min_replicas_to_write > 0 and configuration["min-replicas-max-lag"] > 0
        _set_guard(node, GUARD_MIN_REPLICAS, needed)

    def tracking(_: Configuration) -> None:
        if not configuration["latency-tracking"]:
            latency.forget(engine)

    engine.slow_hook = node.slow_commands.note
    engine.redact = redacted
    for names, applier in (
        (tuple(PLAIN), plain),
        (SLOW, slow),
        (MEMORY, memory),
        (("notify-keyspace-events",), notifications),
        (("min-replicas-to-write", "min-replicas-max-lag"), replicas),
        (("latency-tracking",), tracking),
    ):
        applier(configuration)
        configuration.on_change(names, applier)

    def log_level(_: Configuration) -> None:
        node.log.level = configuration["loglevel"]

    configuration.on_change(("loglevel",), log_level)


def set_slow_threshold(node: Node) -> None:
    """Let the engine report what passes the lower of the slow log's and the latency monitor's thresholds."""
    slow_from_us = node.configuration["slowlog-log-slower-than"]
    threshold_ms = node.configuration["latency-monitor-threshold"]
    wanted = [limit for limit in (slow_from_us, threshold_ms * 1000 or -1) if limit >= 0]
    node.engine.slowlog_slower_than_us = min(wanted, default=-1)


def _set_guard(node: Node, bit: int, up: bool) -> None:
    if up:
        node.engine.guard |= bit
    else:
        node.engine.guard &= ~bit
