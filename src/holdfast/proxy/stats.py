"""Statistics of a proxy, as twemproxy tells them.

What it is: the JSON that a connection to the statistics port gets, with
twemproxy's fields in its order, and their descriptions. What it is not: the
counting, which happens where things happen; here it is only read.

How to read it: `report` makes the whole, `POOL` and `SERVER` are the fields.
"""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.proxy.shapes import Backend, Door

POOL = {
    "client_eof": "# eof on client connections",
    "client_err": "# errors on client connections",
    "client_connections": "# active client connections",
    "server_ejects": "# times backend server was ejected",
    "forward_error": "# times we encountered a forwarding error",
    "fragments": "# fragments created from a multi-vector request",
}
"""Field: description."""

SERVER = {
    "server_eof": "# eof on server connections",
    "server_err": "# errors on server connections",
    "server_timedout": "# timeouts on server connections",
    "server_connections": "# active server connections",
    "server_ejected_at": "timestamp when server was ejected in usec since epoch",
    "requests": "# requests",
    "request_bytes": "total request bytes",
    "responses": "# responses",
    "response_bytes": "total response bytes",
    "in_queue": "# requests in incoming queue",
    "in_queue_bytes": "current request bytes in incoming queue",
    "out_queue": "# requests in outgoing queue",
    "out_queue_bytes": "current request bytes in outgoing queue",
}
"""Field: description."""


def report(
    doors: Iterable[Door], *, source: str, version: str, uptime_s: int, now_s: int, total: int, current: int
) -> dict[str, object]:
    """Return the statistics as they are told: pools hold counters and servers, servers counters."""
    told: dict[str, object] = {
        "service": "nutcracker",
        "source": source,
        "version": version,
        "uptime": uptime_s,
        "timestamp": now_s,
        "total_connections": total,
        "curr_connections": current,
    }
    for door in doors:
        told[door.name] = pool_report(door)
    return told


def pool_report(door: Door) -> dict[str, object]:
    """Return the statistics of one pool."""
    told: dict[str, object] = {
        "client_eof": door.client_eof,
        "client_err": door.client_err,
        "client_connections": door.client_connections,
        "server_ejects": sum({id(each.pool): each.pool.server_ejects for each in door.target.shards}.values()),
        "forward_error": door.forward_error,
        "fragments": door.fragments,
    }
    for backend in backends_of(door):
        told[backend.name] = {name: max(0, getattr(backend, name)) for name in SERVER}
    return told


def backends_of(door: Door) -> list[Backend]:
    """Return every server behind a door, each once."""
    found: dict[int, Backend] = {}
    for shard in door.target.shards:
        for backend in [shard.primary, *shard.replicas]:
            if backend is not None:
                found[id(backend)] = backend
    return list(found.values())


def describe() -> str:
    """Return the descriptions as `nutcracker -D` prints them."""
    lines = ["pool stats:"]
    lines += [f'  {name:<20}"{text}"' for name, text in POOL.items()]
    lines += ["", "server stats:"]
    lines += [f'  {name:<20}"{text}"' for name, text in SERVER.items()]
    return "\n".join(lines) + "\n"
