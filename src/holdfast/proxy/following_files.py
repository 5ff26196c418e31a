"""Pools that follow roles, made from their sections of the file.

What it is: directives to constructor arguments. What it is not: the reading of the
file (`config`).
"""

from __future__ import annotations

from typing import Any

from holdfast.proxy.cluster_followers import FollowingCluster
from holdfast.proxy.cluster_pool import ClusterTarget
from holdfast.proxy.config import READ_POLICIES, PoolFile
from holdfast.proxy.following_pool import FollowingPool
from holdfast.proxy.sentinel_pool import SentinelPool

HOLD_MS = 10000
"""failover-hold-ms where the file says nothing."""


def encoded(text: str) -> bytes:
    """Return the bytes of a text of the file."""
    return text.encode("utf-8", "surrogateescape")


def options_of(node: Any, file: PoolFile) -> dict[str, Any]:
    """Return what every pool takes."""
    password = file.get("server-auth") or file.redis_auth
    return {
        "hash_name": file.hash,
        "distribution": file.distribution,
        "hash_tag": encoded(file.hash_tag),
        "password": encoded(password) if password else None,
        "database": file.redis_db,
        "connections": file.server_connections,
        "timeout_ms": max(file.timeout, 0),
        "seed": node.host.random.getrandbits(63),
    }


def take_policy(pool: FollowingPool, file: PoolFile) -> None:
    """Set what is held, and who is read from."""
    pool.hold_ms = file.get("failover-hold-ms", HOLD_MS)
    pool.hold_bytes = file.get("failover-hold-bytes", pool.hold_bytes)
    pool.keeps_requests = True
    pool.policy = READ_POLICIES.index(file.get("read-policy", "primary"))
    pool.lag_most_s = file.get("read-lag-ms", 1000) / 1000
    pool.own_writes = file.get("read-your-writes", True)


def build_sentinel_pool(node: Any, file: PoolFile) -> SentinelPool:
    """Make a pool of Sentinel groups; it asks its Sentinels from now on."""
    password = file.get("sentinel-auth")
    pool = SentinelPool(
        node.exchange,
        file.name,
        sentinels=file.get("sentinels"),
        masters=file.get("masters"),
        sentinel_password=encoded(password) if password else None,
        **options_of(node, file),
    )
    take_policy(pool, file)
    pool.begin()
    return pool


def build_cluster_pool(node: Any, file: PoolFile) -> ClusterTarget:
    """Make a pool of a cluster; it asks its nodes from now on. Return what its door leads to."""
    pool = FollowingCluster(node.exchange, file.name, nodes=file.get("cluster"), **options_of(node, file))
    take_policy(pool, file)
    pool.begin()
    return pool.target
