"""Cluster mode.

How to read it: a directive a line; `accepted` says what one means that does not work here.
"""

from __future__ import annotations

from holdfast.server.config.checks import hostname, nodename
from holdfast.server.config.directive import (
    LONG_MAX,
    ULONG_MAX,
    Directive,
    choice,
    integer,
    name_or_none,
    text,
    yes_no,
)
from holdfast.server.config.kinds import Memory, Text

DIRECTIVES = (
    yes_no("cluster-enabled", False, immutable=True),
    text("cluster-config-file", "nodes.conf", immutable=True),
    integer("cluster-node-timeout", 15000, 0, LONG_MAX),
    integer("cluster-port", 0, 0, 65535, immutable=True),
    name_or_none("cluster-announce-ip"),
    integer("cluster-announce-port", 0, 0, 65535),
    integer(
        "cluster-announce-tls-port", 0, 0, 65535, accepted="there is no TLS yet, so no such port is told"
    ),
    integer("cluster-announce-bus-port", 0, 0, 65535),
    Directive("cluster-announce-hostname", Text(absent_when_empty=True, check=hostname), ""),
    Directive("cluster-announce-human-nodename", Text(absent_when_empty=True, check=nodename), ""),
    choice("cluster-preferred-endpoint-type", "ip", "ip", "hostname", "unknown-endpoint"),
    yes_no("cluster-require-full-coverage", True),
    yes_no("cluster-allow-reads-when-down", False),
    yes_no("cluster-allow-pubsubshard-when-down", True),
    yes_no("cluster-allow-replica-migration", True),
    integer("cluster-migration-barrier", 1),
    integer("cluster-replica-validity-factor", 10, aliases=("cluster-slave-validity-factor",)),
    yes_no("cluster-replica-no-failover", False, aliases=("cluster-slave-no-failover",)),
    Directive("cluster-link-sendbuf-limit", Memory(0, ULONG_MAX, unsigned=True), 0),
    integer("cluster-ping-interval", 0, 0, LONG_MAX, hidden=True),
)
