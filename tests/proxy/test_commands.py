"""What a client may say to a proxy, and what it hears."""

from __future__ import annotations

import json
import random
import socket
import subprocess

import pytest
import redis

from tests.peers import require_peer
from tests.proxy.conftest import Front
from tests.wire import Failure, Group, Simple, WireClient, encode


def keys_on_different_servers(front: Front, client: WireClient, count: int = 2) -> list[bytes]:
    """Find keys that live on so many different servers."""
    found: dict[int, bytes] = {}
    for number in range(200):
        key = b"k%d" % number
        client.command(b"SET", key, b"0")
        found.setdefault(front.home(key).port, key)
        if len(found) == count:
            return list(found.values())
    raise AssertionError


def test_values_are_stored_and_found_whatever_their_bytes(front: Front) -> None:
    client = front.client()
    luck = random.Random(3)
    values = {luck.randbytes(luck.randint(0, 40)): luck.randbytes(luck.randint(0, 3000)) for _ in range(200)}
    for reply in client.pipeline([[b"SET", key, value] for key, value in values.items()]):
        assert reply == b"+OK\r\n"
    found = client.pipeline([[b"GET", key] for key in values])
    assert found == [b"$%d\r\n%s\r\n" % (len(value), value) for value in values.values()]


def test_replies_come_in_the_order_of_the_requests_across_servers(front: Front) -> None:
    client = front.client()
    requests: list[list[bytes]] = []
    expected = []
    for number in range(3000):
        match number % 5:
            case 0:
                requests.append([b"SET", b"n%d" % number, b"%d" % number])
                expected.append(b"+OK\r\n")
            case 1:
                requests.append([b"GET", b"n%d" % (number - 1)])
                expected.append(b"$%d\r\n%d\r\n" % (len(str(number - 1)), number - 1))
            case 2:
                requests.append([b"ECHO", b"%d" % number])
                expected.append(b"$%d\r\n%d\r\n" % (len(str(number)), number))
            case 3:
                requests.append([b"MGET", b"n%d" % (number - 3), b"none", b"n%d" % (number - 3)])
                text = b"$%d\r\n%d\r\n" % (len(str(number - 3)), number - 3)
                expected.append(b"*3\r\n" + text + b"$-1\r\n" + text)
            case _:
                requests.append([b"NOSUCH"])
                expected.append(b"-ERR unknown command 'NOSUCH', with args beginning with: \r\n")
    assert client.pipeline(requests) == expected


def test_requests_fed_byte_by_byte_are_answered_alike(front: Front) -> None:
    client = front.client()
    stream = (
        encode([b"SET", b"a", b"1\r\n$2"]) + b"get a\r\n" + encode([b"MGET", b"a", b"b", b"c"]) + b"*0\r\n"
    )
    stream += encode([b"DEL", b"a", b"b"]) + b"set \"q u\" 'v'\r\n" + encode([b"GET", b"q u"])
    for place in range(len(stream)):
        client.send(stream[place : place + 1])
    assert [client.read() for _ in range(6)] == [
        b"+OK\r\n", b"$5\r\n1\r\n$2\r\n", b"*3\r\n$5\r\n1\r\n$2\r\n$-1\r\n$-1\r\n",
        b":1\r\n", b"+OK\r\n", b"$1\r\nv\r\n",
    ]  # fmt: skip


def test_several_keys_are_split_and_joined(front: Front) -> None:
    client = front.client()
    names = [b"key%d" % number for number in range(40)]
    pairs = [word for name in names for word in (name, b"v" + name)]
    assert client.value(b"MSET", *pairs) == Simple("+", b"OK")
    assert client.value(b"MGET", *names) == Group("*", tuple(b"v" + name for name in names))
    assert client.value(b"EXISTS", *names, b"none", names[0]) == 41
    assert client.value(b"TOUCH", *names) == 40
    assert client.value(b"DEL", *names[:10]) == 10
    assert client.value(b"UNLINK", *names) == 30
    held = [each.connect().value(b"DBSIZE") for each in front.backends]
    assert held == [0, 0, 0]


def test_a_part_that_fails_makes_its_error_the_reply(front: Front) -> None:
    client = front.client()
    client.command(b"RPUSH", b"list", b"x")
    reply = client.value(b"MSET", b"a", b"1", b"b")
    assert isinstance(reply, Failure) and b"wrong number of arguments" in reply.text
    assert isinstance(client.value(b"GET", b"list"), Failure)


def test_whole_server_commands_go_to_all_servers(front: Front) -> None:
    client = front.client()
    names = {b"key%d" % number for number in range(300)}
    client.pipeline([[b"SET", name, b"1"] for name in names])
    assert client.value(b"DBSIZE") == 300
    listed = client.value(b"KEYS", b"key1*")
    assert isinstance(listed, Group) and set(listed.items or ()) == {
        n for n in names if n.startswith(b"key1")
    }
    cursor, seen = b"0", []
    while True:
        answer = client.value(b"SCAN", cursor, b"COUNT", b"50")
        assert isinstance(answer, Group) and answer.items is not None
        cursor, page = answer.items[0], answer.items[1]
        assert isinstance(cursor, bytes) and isinstance(page, Group)
        seen += list(page.items or ())
        if cursor == b"0":
            break
    assert set(seen) == names
    assert client.value(b"RANDOMKEY") in names
    loaded = client.value(b"SCRIPT", b"LOAD", b"return redis.call('GET', KEYS[1])")
    assert isinstance(loaded, bytes)
    assert client.value(b"SCRIPT", b"EXISTS", loaded, b"0" * 40) == Group("*", (1, 0))
    assert all(client.value(b"EVALSHA", loaded, b"1", name) == b"1" for name in list(names)[:20])
    assert client.value(b"FLUSHALL") == Simple("+", b"OK")
    assert client.value(b"DBSIZE") == 0


def test_scripts_and_commands_of_several_keys_need_one_server(front: Front) -> None:
    client = front.client("tagged")
    assert client.value(b"EVAL", b"return #KEYS", b"2", b"{u}a", b"{u}b") == 2
    client.command(b"SADD", b"{u}a", b"x", b"y")
    assert client.value(b"SINTERSTORE", b"{u}c", b"{u}a", b"{u}a") == 2
    assert client.value(b"RENAME", b"{u}c", b"{u}d") == Simple("+", b"OK")
    assert client.value(b"SORT", b"{u}d", b"ALPHA", b"STORE", b"{u}e") == 2
    one, other = keys_on_different_servers(front, client)
    for words in (
        [b"EVAL", b"return 1", b"2", one, other],
        [b"RENAME", one, other],
        [b"SORT", one, b"STORE", other],
    ):
        reply = client.value(*words)
        assert reply == Failure(b"CROSSSLOT Keys in request don't hash to the same server")


def test_a_transaction_runs_whole_on_one_server(front: Front) -> None:
    client = front.client("tagged")
    replies = client.pipeline(
        [[b"MULTI"], [b"SET", b"{t}a", b"5"], [b"INCR", b"{t}a"], [b"PING"], [b"EXEC"], [b"GET", b"{t}a"]]
    )
    assert replies == [
        b"+OK\r\n", b"+QUEUED\r\n", b"+QUEUED\r\n", b"+QUEUED\r\n",
        b"*3\r\n+OK\r\n:6\r\n+PONG\r\n", b"$1\r\n6\r\n",
    ]  # fmt: skip
    one, other = keys_on_different_servers(front, client)
    replies = client.pipeline(
        [[b"MULTI"], [b"SET", one, b"9"], [b"SET", other, b"9"], [b"EXEC"], [b"GET", one]]
    )
    assert replies[2].startswith(b"-CROSSSLOT") and replies[3].startswith(b"-EXECABORT")
    assert replies[4] == b"$1\r\n0\r\n"
    assert client.value(b"EXEC") == Failure(b"ERR EXEC without MULTI")
    replies = client.pipeline([[b"MULTI"], [b"SET", one, b"9"], [b"DISCARD"], [b"GET", one], [b"DISCARD"]])
    assert replies[2:] == [b"+OK\r\n", b"$1\r\n0\r\n", b"-ERR DISCARD without MULTI\r\n"]
    replies = client.pipeline([[b"MULTI"], [b"EXEC"]])
    assert replies == [b"+OK\r\n", b"*0\r\n"]


def test_watch_notices_what_others_change(front: Front) -> None:
    client, other = front.client("tagged"), front.client("tagged")
    client.command(b"SET", b"{w}", b"1")
    replies = client.pipeline(
        [[b"WATCH", b"{w}"], [b"GET", b"{w}"], [b"MULTI"], [b"SET", b"{w}", b"2"], [b"EXEC"]]
    )
    assert replies[-1] == b"*1\r\n+OK\r\n"
    client.pipeline([[b"WATCH", b"{w}"], [b"GET", b"{w}"]])
    other.command(b"SET", b"{w}", b"3")
    replies = client.pipeline([[b"MULTI"], [b"SET", b"{w}", b"4"], [b"EXEC"], [b"GET", b"{w}"]])
    assert replies[2:] == [b"*-1\r\n", b"$1\r\n3\r\n"]
    client.pipeline([[b"WATCH", b"{w}"], [b"UNWATCH"]])
    other.command(b"SET", b"{w}", b"5")
    replies = client.pipeline([[b"MULTI"], [b"SET", b"{w}", b"6"], [b"EXEC"]])
    assert replies[2] == b"*1\r\n+OK\r\n"


def test_a_blocked_client_waits_alone(front: Front) -> None:
    blocked, other = front.client(), front.client()
    blocked.send(encode([b"SET", b"x", b"1"]) + encode([b"BLPOP", b"q", b"5"]) + encode([b"GET", b"x"]))
    assert blocked.read() == b"+OK\r\n"
    assert other.pipeline([[b"SET", b"n%d" % n, b"1"] for n in range(50)]) == [b"+OK\r\n"] * 50
    other.command(b"RPUSH", b"q", b"job")
    assert blocked.read() == b"*2\r\n$1\r\nq\r\n$3\r\njob\r\n"
    assert blocked.read() == b"$1\r\n1\r\n"
    assert blocked.value(b"BLPOP", b"q", b"0.05") == Group("*", None)
    blocked.send(encode([b"BLPOP", b"q", b"0"]))
    blocked.close()
    client = front.client()
    client.command(b"RPUSH", b"gone", b"1")
    assert client.value(b"LLEN", b"gone") == 1


def test_databases_are_apart_and_an_unknown_one_is_refused(front: Front) -> None:
    client, other = front.client(), front.client()
    assert (
        client.pipeline([[b"SET", b"k", b"0"], [b"SELECT", b"3"], [b"SET", b"k", b"3"]]) == [b"+OK\r\n"] * 3
    )
    assert other.value(b"GET", b"k") == b"0"
    assert client.value(b"GET", b"k") == b"3"
    assert client.value(b"SELECT", b"99") == Failure(b"ERR DB index is out of range")
    assert client.value(b"SELECT", b"x") == Failure(b"ERR value is not an integer or out of range")
    assert client.value(b"GET", b"k") == b"3"
    second = front.client("two")
    second.command(b"SET", b"deep", b"1")
    holder = [each for each in front.backends if each.connect().value(b"DBSIZE") == 0]
    assert holder
    direct = [each.connect() for each in front.backends]
    for each in direct:
        each.command(b"SELECT", b"2")
    assert sum(each.value(b"EXISTS", b"deep") == 1 for each in direct) == 1


def test_resp3_is_spoken_to_those_who_ask_for_it(front: Front) -> None:
    client, plain = front.client(), front.client()
    greeting = client.value(b"HELLO", b"3")
    assert isinstance(greeting, Group) and greeting.mark == "%"
    client.command(b"HSET", b"h", b"f", b"v")
    assert client.value(b"HGETALL", b"h") == Group("%", (b"f", b"v"))
    assert plain.value(b"HGETALL", b"h") == Group("*", (b"f", b"v"))
    assert client.command(b"MGET", b"none", b"h2") == b"*2\r\n_\r\n_\r\n"
    assert client.command(b"GET", b"none") == b"_\r\n"


def test_a_pool_with_a_password_wants_it_in_nutcrackers_words(front: Front) -> None:
    client = front.client("auth")
    assert client.value(b"GET", b"a") == Failure(b"NOAUTH Authentication required")
    assert client.value(b"AUTH", b"wrong") == Failure(b"ERR invalid password")
    assert front.client().value(b"AUTH", b"x") == Failure(b"ERR Client sent AUTH, but no password is set")
    assert client.value(b"AUTH", b"secret") == Simple("+", b"OK")
    # The server behind it has no password: what it says to AUTH is not for the client.
    assert client.command(b"GET", b"a") == b"$-1\r\n"


def test_what_is_the_proxys_own_is_answered_here(front: Front) -> None:
    client = front.client()
    assert client.value(b"PING") == Simple("+", b"PONG")
    assert client.value(b"PING", b"x") == b"x"
    assert client.value(b"CLIENT", b"SETNAME", b"me") == Simple("+", b"OK")
    assert client.value(b"CLIENT", b"GETNAME") == b"me"
    listing = client.value(b"CLIENT", b"LIST")
    assert isinstance(listing, bytes) and b"name=me" in listing
    counted = client.value(b"COMMAND", b"COUNT")
    assert isinstance(counted, int) and counted > 200
    told = client.value(b"INFO")
    assert isinstance(told, bytes) and b"# Proxy" in told and b"name=plain" in told
    for words in ([b"CONFIG", b"GET", b"*"], [b"SHUTDOWN"], [b"MONITOR"], [b"WAIT", b"1", b"1"]):
        reply = client.value(*words)
        assert isinstance(reply, Failure) and b"cannot be used through the proxy" in reply.text
    assert client.value(b"GET") == Failure(b"ERR wrong number of arguments for 'get' command")
    assert client.value(b"GEOADD", b"x") == Failure(b"ERR wrong number of arguments for 'geoadd' command")
    client.send(
        encode([b"CLIENT", b"REPLY", b"SKIP"]) + encode([b"SET", b"a", b"1"]) + encode([b"GET", b"a"])
    )
    assert client.read() == b"$1\r\n1\r\n"
    assert client.command(b"RESET") == b"+RESET\r\n"
    assert client.command(b"QUIT") == b"+OK\r\n"
    assert client.read_to_end() == b""


def test_messages_reach_the_subscribers_of_all_kinds(front: Front) -> None:
    listener, modern, speaker = front.client(), front.client(), front.client()
    modern.command(b"HELLO", b"3")
    names = [b"news%d" % number for number in range(6)]
    listener.send(encode([b"SUBSCRIBE", *names]))
    for place, name in enumerate(names):
        assert listener.read_value() == Group("*", (b"subscribe", name, place + 1))
    assert listener.value(b"PSUBSCRIBE", b"news*") == Group("*", (b"psubscribe", b"news*", 7))
    modern.send(encode([b"SUBSCRIBE", b"news1"]) + encode([b"GET", b"x"]))
    assert modern.read_value() == Group(">", (b"subscribe", b"news1", 1))
    assert modern.read() == b"_\r\n"
    for name in names:
        assert speaker.value(b"PUBLISH", name, b"hello") == 2
        got = {str(listener.read_value()), str(listener.read_value())}
        assert got == {
            str(Group("*", (b"message", name, b"hello"))),
            str(Group("*", (b"pmessage", b"news*", name, b"hello"))),
        }
    assert modern.read_value() == Group(">", (b"message", b"news1", b"hello"))
    refused = listener.value(b"GET", b"x")
    assert isinstance(refused, Failure) and b"allowed in this context" in refused.text
    assert listener.value(b"UNSUBSCRIBE", b"news1") == Group("*", (b"unsubscribe", b"news1", 6))
    assert listener.value(b"SSUBSCRIBE", b"shard") == Group("*", (b"ssubscribe", b"shard", 1))
    speaker.command(b"SPUBLISH", b"shard", b"m")
    assert listener.read_value() == Group("*", (b"smessage", b"shard", b"m"))


def test_many_listeners_take_one_connection_a_server(front: Front) -> None:
    listeners = [front.client() for _ in range(50)]
    for each in listeners:
        assert each.value(b"SUBSCRIBE", b"all") == Group("*", (b"subscribe", b"all", 1))
    assert front.client().value(b"PUBLISH", b"all", b"x") == 1
    for each in listeners:
        assert each.read_value() == Group("*", (b"message", b"all", b"x"))
        each.close()


def test_statistics_have_nutcrackers_fields(front: Front) -> None:
    client = front.client()
    keys = [b"key:%d:%d" % (number * 7919, number) for number in range(40)]  # some on each server
    client.pipeline([[b"MGET", *keys], [b"GET", b"a"]])
    with socket.create_connection(("127.0.0.1", front.stats_port)) as link:
        received = b""
        while part := link.recv(65536):
            received += part
    told = json.loads(received)
    assert told["service"] == "nutcracker" and told["curr_connections"] >= 1
    client.close()
    pool = told["plain"]
    assert pool["client_connections"] >= 1 and pool["fragments"] >= 2
    server = pool[f"127.0.0.1:{front.backends[0].port}"]
    assert {"requests", "request_bytes", "responses", "server_err", "in_queue", "out_queue_bytes"} < set(
        server
    )


def test_redis_py_works_through_it(front: Front) -> None:
    client = redis.Redis(port=front.ports["tagged"], decode_responses=True)
    client.mset({f"k{n}": n for n in range(50)})
    assert client.mget([f"k{n}" for n in range(50)]) == [str(n) for n in range(50)]
    with client.pipeline(transaction=True) as pipe:
        assert pipe.set("{p}a", 1).incr("{p}a").get("{p}a").execute() == [True, 2, "2"]
    assert len(list(client.scan_iter(count=7))) == 51

    def change(pipe: redis.client.Pipeline) -> None:
        value = int(pipe.get("{p}a"))
        pipe.multi()
        pipe.set("{p}a", value * 10)

    client.transaction(change, "{p}a")
    assert client.get("{p}a") == "20"
    pubsub = client.pubsub()
    pubsub.subscribe("ch")
    assert pubsub.get_message(timeout=5)["type"] == "subscribe"
    client.publish("ch", "hi")
    assert pubsub.get_message(timeout=5)["data"] == "hi"
    with redis.Redis(port=front.ports["tagged"], protocol=3) as modern:
        modern.hset("{p}h", mapping={"a": 1})
        assert modern.hgetall("{p}h") == {b"a": b"1"}


@pytest.mark.parametrize("pipeline", ["1", "16"])
def test_redis_benchmark_and_redis_cli_work_through_it(front: Front, pipeline: str) -> None:
    program = require_peer("redis-benchmark")
    port = str(front.ports["tagged"])
    command = [
        program,
        "-p",
        port,
        "-n",
        "2000",
        "-P",
        pipeline,
        "-q",
        "-t",
        "ping,set,get,incr,lpush,sadd,mset",
    ]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert asked.returncode == 0 and "MSET" in asked.stdout, asked.stderr
    cli = subprocess.run(
        [require_peer("redis-cli"), "-p", port],
        input="set a 1\nget a\nmget a b\n",
        capture_output=True,
        text=True,
    )
    assert cli.stdout.splitlines() == ["OK", "1", "1", ""]
