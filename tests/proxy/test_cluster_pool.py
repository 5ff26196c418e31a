"""A cluster behind a proxy: clients see one server, whatever moves behind it.

Real processes, stock and ours, joined by redis-cli.
"""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest
import redis

from holdfast.proxy.cluster_view import merge, nodes_of
from tests.ports import free_port
from tests.proxy.clusters import Cluster, cluster, cluster_pool
from tests.proxy.groups import Writer, lists_of_client, write_past, writers
from tests.proxy.inside import Caller, proxy_inside
from tests.proxy.peers import proxy_process
from tests.sentinel.group import until


def move_slot(made: Cluster, slot: int, to: int) -> None:
    """Move a slot as redis-cli does, key by key."""
    source, target = made.owner_of(slot), made.nodes[to]
    source_id, target_id = made.id_of(source), made.id_of(target)
    target.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", source_id)
    source.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", target_id)
    while keys := source.client.execute_command("CLUSTER GETKEYSINSLOT", slot, 10):
        for key in keys:
            source.client.execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
    for each in (target, source, *(each for each in made.nodes if each not in (target, source))):
        each.client.execute_command("CLUSTER SETSLOT", slot, "NODE", target_id)


def longest_wait(writer: Writer, first: int) -> tuple[float, float]:
    """Return the begin and the end of the longest time between two answers, from the `first` on."""
    return max(itertools.pairwise(writer.answered[first - 1 :]), key=lambda pair: pair[1] - pair[0])


@pytest.mark.parametrize("kind", ["redis", "holdfast"])
def test_many_keys_are_split_by_slots_and_joined(kind: str) -> None:
    port = free_port()
    with cluster(kind) as made, proxy_process(cluster_pool(port, [made.nodes[0].port]), port):
        client = redis.Redis(port=port, decode_responses=True)
        keys = [f"key:{number}" for number in range(200)]
        assert client.mset({key: key for key in keys})
        assert client.mget(keys) == keys
        assert client.mget("absent", *keys[:3]) == [None, *keys[:3]]
        assert client.dbsize() == 200
        assert sorted(client.scan_iter(count=50)) == sorted(keys)
        assert client.exists(*keys) == 200
        assert client.delete(*keys[:100]) == 100
        assert client.dbsize() == 100
        pipe = client.pipeline()
        pipe.set("{a}x", "1")
        pipe.incr("{a}x")
        assert pipe.execute() == [True, 2]
        with pytest.raises(redis.RedisError, match="same server"):
            client.execute_command("SINTER", "a", "b")
        assert client.eval("return redis.call('get', KEYS[1])", 1, "{a}x") == "2"


@pytest.mark.parametrize("kind", ["redis", "holdfast"])
def test_slots_that_move_are_followed_without_an_error_and_in_order(kind: str) -> None:
    port = free_port()
    with cluster(kind) as made, proxy_process(cluster_pool(port, [made.nodes[1].port]), port):
        slots = [
            int(made.nodes[0].client.execute_command("CLUSTER KEYSLOT", f"list{number}"))
            for number in range(3)
        ]
        with writers(port) as wrote:
            for turn, slot in itertools.product(range(2), slots):
                owner = made.nodes.index(made.owner_of(slot))
                move_slot(made, slot, (owner + 1 + turn) % 3)
                until(made.agree, "the nodes agree")  # they lose slots that move on before that
            write_past(wrote)
        assert [each.errors for each in wrote] == [[], [], []]
        found = lists_of_client(redis.Redis(port=port), wrote)
        assert found == [each.acknowledged for each in wrote]


@pytest.mark.parametrize("kind", ["redis", "holdfast"])
def test_a_shard_s_failover_is_a_pause_and_the_other_shards_do_not_wait(kind: str) -> None:
    port = free_port()
    with cluster(kind, 3, 1) as made, proxy_process(cluster_pool(port, [made.nodes[0].port]), port):
        with writers(port) as wrote:
            replica = next(each for each in made.nodes if each.client.info("replication")["role"] == "slave")
            replica.client.execute_command("CLUSTER FAILOVER")
            until(lambda: replica.client.info("replication")["role"] == "master", "the replica leads")
            write_past(wrote)
            errors = [list(each.errors) for each in wrote]
            asked = made.nodes[0].client
            owners = [
                made.owner_of(int(asked.execute_command("CLUSTER KEYSLOT", each.name))) for each in wrote
            ]
            victim = owners[0]
            began = [len(each.answered) for each in wrote]
            victim.kill()
            write_past(wrote)
        assert errors == [[], [], []]
        assert all(len(each.errors) <= 5 for each in wrote)
        waits = longest_wait(wrote[0], began[0])
        for each, owner in zip(wrote, owners, strict=True):
            answered = sum(waits[0] < at < waits[1] for at in each.answered)
            assert (answered == 0) == (owner is victim)
        found = lists_of_client(redis.Redis(port=port), wrote)
        assert found == [sorted(set(each)) for each in found]


@pytest.mark.parametrize("kind", ["redis", "holdfast"])
def test_subscriptions_are_heard_once_and_where_their_slot_is(kind: str) -> None:
    port = free_port()
    with cluster(kind) as made, proxy_process(cluster_pool(port, [made.nodes[0].port]), port):
        teller = redis.Redis(port=port)
        for node in made.nodes:
            node.client.config_set("notify-keyspace-events", "KEA")
        listening = redis.Redis(port=port, socket_timeout=20).pubsub(ignore_subscribe_messages=True)
        listening.psubscribe("n*", "__keyevent*:set")
        listening.subscribe("news")
        listening.ssubscribe("{a}news")

        def next_message() -> tuple[str, bytes]:
            while True:  # None also stands for a subscription's confirmation
                told = listening.get_message(timeout=20)
                if told is not None and told["data"] != b"not yet":
                    return told["type"], told["data"]

        until(
            lambda: teller.publish("news", "not yet") and listening.get_message(timeout=0.1),
            "it is subscribed",
        )
        teller.publish("news", "1")
        assert sorted([next_message(), next_message()]) == [("message", b"1"), ("pmessage", b"1")]
        for number in range(8):  # of all nodes
            teller.set(f"k{number}", "1")
        assert sorted(next_message() for _ in range(8)) == [("pmessage", b"k%d" % each) for each in range(8)]
        slot = int(made.nodes[0].client.execute_command("CLUSTER KEYSLOT", "{a}news"))
        for turn in range(3):
            move_slot(made, slot, (made.nodes.index(made.owner_of(slot)) + 1) % 3)

            def arrives(turn: int = turn) -> bool:
                teller.execute_command("SPUBLISH", "{a}news", turn)
                told = listening.get_message(timeout=0.2)
                return told is not None and (told["type"], told["data"]) == ("smessage", b"%d" % turn)

            until(arrives, "it is heard at the new owner")


def test_a_subscription_that_a_server_refuses_is_an_error_and_not_a_wait() -> None:
    port = free_port()
    with cluster("redis") as made, proxy_process(cluster_pool(port, [made.nodes[0].port]), port):
        for node in made.nodes:
            node.client.execute_command("ACL SETUSER default resetchannels &allowed")
        client = redis.Redis(port=port, socket_timeout=20, retry=None)
        with pytest.raises(redis.RedisError, match=r"(?i)permission"):
            client.execute_command("SUBSCRIBE", "forbidden")
        assert client.ping()


# ---- whose word counts ----

NODES = """\
aa 10.0.0.1:6379@16379 myself,master - 0 0 {one} connected 0-8191
bb 10.0.0.2:6379@16379,host {flags} 0 0 {two} connected {slots}
cc 10.0.0.3:6379@16379 slave aa 0 0 1 connected
"""


def test_the_higher_epoch_owns_a_slot_that_two_claim() -> None:
    old = nodes_of(NODES.format(one=1, two=2, flags="master -", slots="8192-16383"), ("10.0.0.1", 6379))
    new = nodes_of(NODES.format(one=1, two=5, flags="master -", slots="100 8192-16383"), ("10.0.0.2", 6379))
    for views in ([old, new], [new, old]):
        owners, places = merge(views)
        assert owners[places[100]].node.id == "bb"
        assert owners[places[99]].node.id == "aa"
        assert [each.id for each in owners[places[0]].replicas] == ["cc"]
        assert -1 not in places


# ---- a primary that does not know yet what it owns ----


async def test_a_redirection_to_the_node_that_died_is_old_news_and_the_request_waits(tmp_path: Path) -> None:
    # A replica of ours leads by order for some milliseconds before it has claimed the slots of the dead.
    gone, port = free_port(with_bus=True), free_port()
    redirections = 3

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal redirections
        while head := await reader.readline():
            words = []
            for _ in range(int(head[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            here = writer.get_extra_info("sockname")[1]
            nodes = (
                f"aa 127.0.0.1:{here}@1 myself,master - 0 0 4 connected 0-16383\n"
                f"bb 127.0.0.1:{gone}@1 master,fail - 0 0 1 disconnected\n"
            )
            if words[0] == b"SET" and redirections:
                redirections -= 1
                writer.write(b"-MOVED 12182 127.0.0.1:%d\r\n" % gone)
            elif words[0] == b"CLUSTER":
                writer.write(b"$%d\r\n%s\r\n" % (len(nodes), nodes.encode()))
            elif words[0] == b"ROLE":
                writer.write(b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n")
            else:
                writer.write(b"+OK\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    text = cluster_pool(port, [server.sockets[0].getsockname()[1], gone])
    async with proxy_inside(text, tmp_path):
        client = await Caller.to(port)
        assert await client.ask(b"SET", b"foo", b"1") == b"+OK\r\n"
        assert redirections == 0
        client.writer.close()
    server.close()
