"""How to connect to a deployment, in the words that people paste. Pure.

How to read it: `how_to_connect` gives a URL, a line for redis-cli, and lines of Python.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from urllib.parse import quote

from holdfast.ops.model import Deployment
from holdfast.ops.plan import address_of


@dataclass(frozen=True, slots=True)
class Connection:
    """Three ways in."""

    url: str
    command: str
    python: tuple[str, ...]


def how_to_connect(deployment: Deployment) -> Connection:
    """Return how clients reach a deployment: by the stable port, else as its form asks for."""
    names = deployment.process_names
    password = deployment.password
    secret = f":{quote(password, safe='')}@" if password else ""
    flag = f" -a {shlex.quote(password)}" if password else ""
    keyword = f', password="{password}"' if password else ""
    write = 'client.set("greeting", "hello")'
    if deployment.has_proxy or not deployment.sentinels or deployment.cluster:
        at = address_of(deployment, "proxy" if deployment.has_proxy else "node-1")
        local = at.host == "127.0.0.1"
        where = f"port={at.port}" if local else f'host="{at.host}", port={at.port}'
        host = "" if local else f"-h {at.host} "
        kind = "cluster.RedisCluster" if deployment.cluster and not deployment.has_proxy else "Redis"
        if kind != "Redis" and local:
            where = f'host="127.0.0.1", {where}'
        many = "-c " if kind != "Redis" else ""
        return Connection(
            f"redis://{secret}{at}",
            f"redis-cli {many}{host}-p {at.port}{flag}",
            ("import redis", f"client = redis.{kind}({where}{keyword})", write),
        )
    sentinels = [address_of(deployment, each) for each in names if each.startswith("sentinel-")]
    shown = ", ".join(f'("{each.host}", {each.port})' for each in sentinels)
    also = f', sentinel_kwargs={{"password": "{password}"}}' if password else ""
    first = sentinels[0]
    return Connection(
        f"redis+sentinel://{secret}{','.join(map(str, sentinels))}/{deployment.name}",
        f"redis-cli -p {first.port}{flag} SENTINEL GET-MASTER-ADDR-BY-NAME {deployment.name}",
        (
            "from redis.sentinel import Sentinel",
            f'client = Sentinel([{shown}]{also}{keyword}).master_for("{deployment.name}")',
            write,
        ),
    )
