"""What nodes that know each other answer: the same words to two of ours and to two of redis-server.

Ids, ports, times and config epochs are replaced by names; what then remains must be equal byte for byte, in
RESP2 and RESP3. What a single node answers is in tests/conformance/cases/cluster.txt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.processes import OURS, STOCK, ClusterNode, until
from tests.peers import require_peer
from tests.wire import WireClient, encode

SLOTS = {2: ("{a}", "15495"), 3: ("{b}", "3300")}
"""The hash tag that stands for {a} in the script, and its slot: one for each protocol."""
SCRIPT = """
1 CLUSTER SLOTS
1 CLUSTER SHARDS
1 CLUSTER NODES
1 CLUSTER REPLICAS id1
1 CLUSTER REPLICAS id2
1 CLUSTER COUNT-FAILURE-REPORTS id2
1 CLUSTER SET-CONFIG-EPOCH 9
1 CLUSTER FORGET id1
1 CLUSTER REPLICATE id1
1 CLUSTER REPLICATE id2
1 CLUSTER FAILOVER
1 SET {a}here 1
1 CLUSTER SETSLOT 15495 MIGRATING id1
1 CLUSTER SETSLOT 15495 MIGRATING id2
2 CLUSTER SETSLOT 15495 MIGRATING id1
1 CLUSTER SETSLOT 15495 IMPORTING id2
2 CLUSTER SETSLOT 15495 IMPORTING id1
1 CLUSTER NODES
2 CLUSTER NODES
1 GET {a}here
1 GET {a}gone
1 MGET {a}here {a}gone
1 MGET {a}gone {a}gone
1 SSUBSCRIBE {a}gone
1 SUNSUBSCRIBE {a}gone
1 SPUBLISH {a}gone x
1 EVAL "return redis.call('GET', KEYS[1])" 1 {a}gone
1 EVAL "return redis.call('GET', KEYS[1])" 1 {a}here
1 BLPOP {a}gone 1
1 MULTI
1 GET {a}here
1 GET {a}gone
1 DISCARD
2 GET {a}here
2 MGET {a}here {a}gone
2 ASKING
2 GET {a}here
2 ASKING
2 MGET {a}here {a}gone
2 ASKING
2 MGET {a}here {a}here
2 ASKING
2 EVAL "return redis.call('GET', KEYS[1])" 1 {a}here
2 EVAL "return redis.call('GET', KEYS[1])" 1 {a}here
2 ASKING
2 MULTI
2 SET {a}new 1
2 GET {a}new
2 EXEC
2 GET {a}new
1 CLUSTER SETSLOT 15495 NODE id2
1 MIGRATE 127.0.0.1 port2 {a}here 0 1000
1 GET {a}here
2 CLUSTER COUNTKEYSINSLOT 15495
2 CLUSTER SETSLOT 15495 NODE id2
1 CLUSTER SETSLOT 15495 NODE id2
1 GET {a}here
2 GET {a}here
1 SET c 1
2 GET c
2 MULTI
2 GET c
2 EXEC
2 CLUSTER FLUSHSLOTS
1 CLUSTER RESET
"""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[ClusterNode]]]:
    """Two nodes of each kind; the first of each pair has all slots but one."""
    require_peer("redis-server")
    directory: Path = tmp_path_factory.mktemp("replies")
    made = {kind: [ClusterNode(kind, directory, 20000) for _ in range(2)] for kind in (OURS, STOCK)}
    try:
        for first, second in made.values():
            for each in (first, second):
                until(each.client.ping, "the node answers")
            first.cluster("ADDSLOTSRANGE", 0, 16382)
            second.cluster("ADDSLOTS", 16383)
            second.cluster("SET-CONFIG-EPOCH", 2)
            first.cluster("SET-CONFIG-EPOCH", 1)
            first.cluster("MEET", "127.0.0.1", second.port)
        for first, second in made.values():
            for each in (first, second):
                until(lambda each=each: each.state() == "ok" and len(each.table()) == 2, "the pair is well")
            until(lambda pair=(first, second): pair[0].id in _texts(pair[1]), "both know the ids")
            until(lambda pair=(first, second): pair[1].id in _texts(pair[0]), "both know the ids")
        yield made
    finally:
        for pair in made.values():
            for each in pair:
                each.kill()


def _texts(node: ClusterNode) -> str:
    rows = node.table().values()
    return "" if any("handshake" in row[2] for row in rows) else " ".join(row[0] for row in rows)


def _played(pair: list[ClusterNode], protocol: int) -> list[tuple[str, bytes]]:
    """Play the script on a pair; return each line with its reply, names in place of what differs."""
    names = {each.id.encode(): b"id%d" % number for number, each in enumerate(pair, 1)}
    ports = {str(each.port).encode(): b"port%d" % number for number, each in enumerate(pair, 1)}
    values = {name: value for value, name in (names | ports).items()}
    clients = {number: WireClient(each.port) for number, each in enumerate(pair, 1)}
    found = []
    for client in clients.values():
        if protocol == 3:
            client.command(b"HELLO", b"3")
    tag, slot = SLOTS[protocol]
    for line in SCRIPT.replace("{a}", tag).replace("15495", slot).split("\n"):
        if line:
            who, _, command = line.partition(" ")
            words = [values.get(word, word) for word in _words(command)]
            client = clients[int(who)]
            client.send(encode(words))
            found.append((line, _named(client.read(), names | ports)))
    for client in clients.values():
        client.close()
    return found


def _words(command: str) -> list[bytes]:
    return [(quoted or plain).encode() for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', command)]


def _named(reply: bytes, names: dict[bytes, bytes]) -> bytes:
    for value, name in names.items():
        reply = reply.replace(value, name)
    reply = re.sub(rb"@\d+", b"@bus", reply)
    reply = re.sub(rb" \d+ \d+ \d+ connected", rb" times and epoch connected", reply)
    reply = re.sub(rb"(replication-offset\r\n):\d+", rb"\1:offset", reply)
    # redis-server lists shards and nodes in the order of a hash table.
    if b"health" in reply:
        return b"".join(sorted(re.split(rb"[*%]\d\r\n\$5\r\nslots", reply)))
    reply = re.sub(rb"^([$=])\d+\r\n", rb"\1length\r\n", reply)
    if b"myself" in reply:
        head, _, lines = reply.partition(b"txt:") if b"txt:" in reply else reply.partition(b"\r\n")
        return head + b"\n".join(sorted(lines.split(b"\n")))
    return reply


@pytest.mark.parametrize("protocol", [2, 3])
def test_replies_of_two_nodes_are_those_of_redis(pairs: dict[str, list[ClusterNode]], protocol: int) -> None:
    wanted = _played(pairs[STOCK], protocol)
    got = _played(pairs[OURS], protocol)
    differing = [(a, b[1]) for a, b in zip(wanted, got, strict=True) if a != b]
    assert differing == []


def test_links_have_the_shape_of_redis(pairs: dict[str, list[ClusterNode]]) -> None:
    shapes = []
    for kind in (STOCK, OURS):
        with WireClient(pairs[kind][0].port) as client:
            until(
                lambda client=client: client.command(b"CLUSTER", b"LINKS").startswith(b"*2\r\n"), "two links"
            )
            reply = client.command(b"CLUSTER", b"LINKS")
        text = re.sub(rb":\d+", b":n", re.sub(rb"[0-9a-f]{40}", b"id", reply))
        shapes.append(sorted(text.split(b"direction")))
    assert shapes[0] == shapes[1]
