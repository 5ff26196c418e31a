"""Bounds of memory, of clients' buffers and of slow commands, and what is told about them.

How to read it: a directive a line; `accepted` says what one means that does not work here.
"""

from __future__ import annotations

from holdfast.server.config.directive import (
    LONG_MAX,
    ULONG_MAX,
    Directive,
    choice,
    integer,
    memory,
    yes_no,
)
from holdfast.server.config.kinds import Memory
from holdfast.server.config.lists import (
    EventClasses,
    OutputBufferLimits,
    OutputLimit,
    OutputLimits,
    Percentiles,
)

_MIB = 1 << 20
_NO_DEFRAGMENTATION = "values are not moved in memory; there is no active defragmentation"
_NO_TRACKING = "there is no client-side caching yet, so no keys are tracked"

DIRECTIVES = (
    integer("databases", 16, 1, immutable=True),
    Directive("maxmemory", Memory(0, ULONG_MAX, unsigned=True), 0),
    choice(
        "maxmemory-policy",
        "noeviction",
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "noeviction",
    ),
    integer("maxmemory-samples", 5, 1),
    integer("maxmemory-eviction-tenacity", 10, 0, 100),
    Directive("maxmemory-clients", Memory(-100, LONG_MAX, percent=True), 0),
    integer("lfu-log-factor", 10),
    integer("lfu-decay-time", 1),
    integer("active-expire-effort", 1, 1, 10),
    Directive(
        "client-output-buffer-limit",
        OutputBufferLimits(),
        OutputLimits(
            OutputLimit(0, 0, 0),
            OutputLimit(256 * _MIB, 64 * _MIB, 60),
            OutputLimit(32 * _MIB, 8 * _MIB, 60),
        ),
    ),
    memory("client-query-buffer-limit", 1 << 30, _MIB),
    memory("proto-max-bulk-len", 512 * _MIB, _MIB),
    integer("slowlog-log-slower-than", 10000, -1, LONG_MAX),
    integer("slowlog-max-len", 128, 0, LONG_MAX),
    integer("latency-monitor-threshold", 0, 0, LONG_MAX),
    yes_no("latency-tracking", True),
    Directive("latency-tracking-info-percentiles", Percentiles(), (50.0, 99.0, 99.9)),
    Directive("notify-keyspace-events", EventClasses(), ""),
    integer("busy-reply-threshold", 5000, 0, LONG_MAX, aliases=("lua-time-limit",)),
    integer("tracking-table-max-keys", 1000000, 0, LONG_MAX, accepted=_NO_TRACKING),
    yes_no("lazyfree-lazy-eviction", False),
    yes_no("lazyfree-lazy-expire", False),
    yes_no("lazyfree-lazy-server-del", False),
    yes_no("lazyfree-lazy-user-del", False),
    yes_no("lazyfree-lazy-user-flush", False),
    yes_no("activedefrag", False, accepted=_NO_DEFRAGMENTATION),
    memory("active-defrag-ignore-bytes", 100 * _MIB, 1, accepted=_NO_DEFRAGMENTATION),
    integer("active-defrag-threshold-lower", 10, 0, 1000, accepted=_NO_DEFRAGMENTATION),
    integer("active-defrag-threshold-upper", 100, 0, 1000, accepted=_NO_DEFRAGMENTATION),
    integer("active-defrag-cycle-min", 1, 1, 99, accepted=_NO_DEFRAGMENTATION),
    integer("active-defrag-cycle-max", 25, 1, 99, accepted=_NO_DEFRAGMENTATION),
    integer("active-defrag-max-scan-fields", 1000, 1, LONG_MAX, accepted=_NO_DEFRAGMENTATION),
    yes_no("jemalloc-bg-thread", True, accepted="memory comes from the system's allocator, not jemalloc"),
)
