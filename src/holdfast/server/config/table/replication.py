"""Replication as Redis knows it. Beyond Redis: `acknowledgement.py`.

How to read it: a directive a line; `accepted` says what one means that does not work here.
"""

from __future__ import annotations

from holdfast.server.config.directive import LONG_MAX, Directive, choice, integer, name_or_none, yes_no
from holdfast.server.config.kinds import Memory
from holdfast.server.config.lists import ReplicaOf

DIRECTIVES = (
    Directive("replicaof", ReplicaOf(), None, immutable=True, aliases=("slaveof",)),
    name_or_none("masterauth", raw=True, sensitive=True),
    name_or_none("masteruser", sensitive=True),
    yes_no("replica-serve-stale-data", True, aliases=("slave-serve-stale-data",)),
    yes_no("replica-read-only", True, aliases=("slave-read-only",)),
    yes_no("replica-lazy-flush", False, aliases=("slave-lazy-flush",)),
    yes_no("replica-ignore-maxmemory", True, aliases=("slave-ignore-maxmemory",)),
    yes_no("replica-ignore-disk-write-errors", False),
    yes_no("replica-announced", True),
    name_or_none("replica-announce-ip", aliases=("slave-announce-ip",)),
    integer("replica-announce-port", 0, 0, 65535, aliases=("slave-announce-port",)),
    integer("replica-priority", 100, aliases=("slave-priority",)),
    yes_no("repl-diskless-sync", True),
    integer("repl-diskless-sync-delay", 5),
    integer("repl-diskless-sync-max-replicas", 0),
    choice("repl-diskless-load", "disabled", "disabled", "on-empty-db", "swapdb", denied_while_loading=True),
    integer("repl-ping-replica-period", 10, 1, aliases=("repl-ping-slave-period",)),
    integer("repl-timeout", 60, 1),
    yes_no("repl-disable-tcp-nodelay", False),
    Directive("repl-backlog-size", Memory(1, LONG_MAX, clamp=(16384, LONG_MAX)), 1 << 20),
    integer("repl-backlog-ttl", 3600, 0, LONG_MAX),
    integer("min-replicas-to-write", 0, aliases=("min-slaves-to-write",)),
    integer("min-replicas-max-lag", 10, aliases=("min-slaves-max-lag",)),
    choice(
        "propagation-error-behavior",
        "ignore",
        "ignore",
        "panic",
        "panic-on-replicas",
        accepted="a command that fails in the replication stream is logged and counted, the process goes on",
    ),
)
