"""What INFO says about a node, as a value.

What it is: the parser for the lines that Sentinel reads, of stock nodes and ours. What
it is not: what follows from them (`observation`).

How to read it: `InfoReply` lists the fields, `parse_info` fills it. Unknown and broken
lines are passed over: what a node says must not end a Sentinel.
"""

from __future__ import annotations

from dataclasses import dataclass

RUN_ID_LENGTH = 40


@dataclass(frozen=True, slots=True)
class InfoReply:
    """One INFO. `replicas` are (host, port) as the primary knows them."""

    run_id: str = ""
    role: str = ""
    replicas: tuple[tuple[str, int], ...] = ()
    link_down_ms: int = 0
    primary_host: str | None = None
    primary_port: int | None = None
    is_link_up: bool | None = None
    priority: int | None = None
    offset: int | None = None
    stream_offset: int | None = None
    """Of a primary: where its stream ends."""
    is_announced: bool | None = None
    history: str = ""
    """The replication id of its stream."""
    history_before: str = ""
    """The one that it followed until it was promoted; of a node that never was, none or its own."""
    node_id: str = ""
    failover_state: str = ""
    key_count: int | None = None
    """Sum over all databases; None where the reply has no keyspace section."""
    refused_primary: str = ""
    """Why a replica of ours does not follow its primary (`master_refused`)."""
    is_loading: bool = False
    fails_writes: bool = False
    """The disk refuses, and so does the node: of stock nodes the append-only file tells."""
    is_intact: bool = True
    """A node of ours says otherwise when it has lost something that it acknowledged."""
    is_copying: bool = False
    """It waits for another node's whole copy, or receives it."""
    is_fetching: bool = False
    """A node of ours has been told to fetch, and has not yet all."""
    standing: str = ""
    """Of a node of ours: primary, replica, fenced or candidate."""
    fence_epoch: int = 0
    lease: str = ""
    """Of a primary of ours: off, held or lost."""
    ack_waiting: int = 0
    """How many ticks' replies wait for acknowledgements (`min-replicas-to-ack`)."""


def parse_info(text: str) -> InfoReply:
    """Read an INFO reply."""
    fields: dict[str, str] = {}
    replicas: list[tuple[str, int]] = []
    keys: int | None = None
    for line in text.splitlines():
        if line.startswith("# Keyspace"):
            keys = 0
        name, colon, value = line.partition(":")
        if not colon:
            continue
        if name.startswith("slave") and name[5:6].isdigit():
            found = _replica(value)
            if found is not None:
                replicas.append(found)
        elif name.startswith("db") and name[2:].isdigit() and value.startswith("keys="):
            keys = (keys or 0) + (_integer(value[5:].partition(",")[0]) or 0)
        else:
            fields.setdefault(name, value)
    run_id = fields.get("run_id", "")
    announced = _integer(fields.get("replica_announced"))
    link = fields.get("master_link_status")
    down = _integer(fields.get("master_link_down_since_seconds"))
    return InfoReply(
        run_id=run_id[:RUN_ID_LENGTH] if len(run_id) >= RUN_ID_LENGTH else "",
        role=fields.get("role", ""),
        replicas=tuple(replicas),
        link_down_ms=(down or 0) * 1000,
        primary_host=fields.get("master_host"),
        primary_port=_integer(fields.get("master_port")),
        is_link_up=None if link is None else link.lower() == "up",
        priority=_integer(fields.get("slave_priority")),
        offset=_integer(fields.get("slave_repl_offset")),
        stream_offset=_integer(fields.get("master_repl_offset")),
        is_announced=None if announced is None else bool(announced),
        history=fields.get("master_replid", ""),
        history_before=fields.get("master_replid2", ""),
        node_id=fields.get("node_id", ""),
        failover_state=fields.get("master_failover_state", ""),
        key_count=keys,
        refused_primary=fields.get("master_refused", ""),
        is_loading=fields.get("loading", "0") == "1",
        fails_writes=fields.get("aof_last_write_status") == "err" or fields.get("writes_failing") == "1",
        is_intact=fields.get("intact", "1") == "1",
        is_copying=fields.get("master_sync_in_progress", "0") == "1",
        is_fetching=fields.get("fetching", "0") == "1",
        standing=fields.get("standing", ""),
        lease=fields.get("lease", ""),
        fence_epoch=_integer(fields.get("fence_epoch")) or 0,
        ack_waiting=_integer(fields.get("ack_waiting")) or 0,
    )


def _replica(value: str) -> tuple[str, int] | None:
    if "ip=" in value:
        pairs = dict(each.partition("=")[::2] for each in value.split(","))
        host, port = pairs.get("ip", ""), _integer(pairs.get("port"))
    else:
        words = value.split(",")
        host, port = words[0], _integer(words[1]) if len(words) > 1 else None
    if not host or port is None or not 0 < port < 65536:
        return None
    return host, port


def _integer(text: str | None) -> int | None:
    if text is None or len(text) > 20:
        return None
    try:
        return int(text)
    except ValueError:
        return None
