"""Holdfast's own directives: acknowledged writes, the lease, syncs, hand-over, sleep.

Redis knows none of them. With the defaults a node behaves as Redis does, but
that a replica does not follow a primary that has lost all its data.

How to read it: a directive a line, what it means under it.
"""

from __future__ import annotations

from holdfast.server.config.directive import choice, integer, yes_no

DIRECTIVES = (
    # The reply to a write waits until so many member replicas hold it; 0 waits for none.
    integer("min-replicas-to-ack", 0),
    # Milliseconds that a reply waits before the client is told -NOACK.
    integer("min-replicas-to-ack-timeout", 1000, 1),
    # Whether writes wait when too few members are left; "no" lets them go on without the promise.
    yes_no("min-replicas-to-ack-strict", True),
    # Milliseconds after which the primary takes a silent member out of the set.
    integer("ack-member-timeout", 5000, 1),
    # Whether a read may return what is not yet acknowledged.
    choice("ack-reads", "no", "no", "committed", "linearizable"),
    # Whether a replica refuses to be wiped by a primary that lost its history.
    yes_no("replica-refuse-empty-primary", True),
    # Full syncs that run at once; others wait in line.
    integer("repl-max-concurrent-syncs", 2, 1),
    # 0: this node takes writes without a lease, whatever its Sentinels grant; else they say how long
    # a grant lasts.
    integer("primary-lease-ms", -1, -1, 60000),
    # Milliseconds that a request waits for a lease before -NOLEASE.
    integer("lease-hold-ms", 1000, 0, 60000),
    # Whether a primary that Sentinels watch hands over to a replica before it shuts down.
    yes_no("shutdown-failover", True),
    # Microseconds to stay awake where two connections take turns and the other is due; 0: none.
    integer("stay-awake-us", 50, 0, 1000),
)
