"""What an operator set: the `cluster-*` directives as the decisions read them.

The node fills it from its configuration and again at every change. Times are milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Settings:
    """Defaults are those of redis.conf."""

    node_timeout: int = 15000
    require_full_coverage: bool = True
    allow_replica_migration: bool = True
    migration_barrier: int = 1
    replica_validity_factor: int = 10
    replica_no_failover: bool = False
    repl_ping_period: int = 10_000
    ping_interval: int = 0
    """How often each node is pinged at least; 0: node_timeout / 2, as Redis does."""
    port: int = 6379
    bus_port: int = 16379
    announce_ip: str = ""
    announce_port: int = 0
    announce_bus_port: int = 0
    hostname: str = ""
    human_name: str = ""
    fast_down: bool = True
    """A link that went and a port that refuses are a suspicion at once."""

    @property
    def shown_port(self) -> int:
        """The client port that others are told."""
        return self.announce_port or self.port

    @property
    def shown_bus_port(self) -> int:
        """The bus port that others are told."""
        return self.announce_bus_port or self.bus_port

    @property
    def handshake_timeout(self) -> int:
        """How long a node may stay in handshake."""
        return max(self.node_timeout, 1000)
