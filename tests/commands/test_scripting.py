"""Scripts as clients see them."""

from __future__ import annotations

import pytest

from tests.commands.conftest import Connect
from tests.lone_engine import LoneEngine
from tests.wire import Failure, Simple, WireClient

GUARD_MISCONF = 1 << 3
ENDLESS = "while true do pcall(function() while true do end end) end"


def test_endless_script_leaves_others_busy_until_it_is_killed(connect: Connect) -> None:
    client, other = connect(), connect()
    other.value("PING")
    client.send(b"*3\r\n$4\r\nEVAL\r\n$%d\r\n%b\r\n$1\r\n0\r\n" % (len(ENDLESS), ENDLESS.encode()))
    while other.value("PING") == Simple("+", b"PONG"):
        pass
    late = connect()
    assert late.command(b"GET", b"k").startswith(b"-BUSY ")
    assert late.value("SCRIPT", "KILL") == Simple("+", b"OK")
    assert client.read().startswith(b"-ERR Script killed by user with SCRIPT KILL... script: ")
    assert late.value("PING") == other.value("PING") == client.value("PING") == Simple("+", b"PONG")


def test_a_client_that_connects_just_as_a_long_script_begins_is_served_too(connect: Connect) -> None:
    client, other = connect(), connect()
    port = client.socket.getpeername()[1]
    for _ in range(20):
        # All in one turn of the loop: who is accepted in it is announced only in the next.
        client.send(b"*3\r\n$4\r\nEVAL\r\n$%d\r\n%b\r\n$1\r\n0\r\n" % (len(ENDLESS), ENDLESS.encode()))
        with WireClient(port) as late:
            assert late.command(b"GET", b"k").startswith((b"-BUSY ", b"$-1"))
            while other.value("PING") == Simple("+", b"PONG"):
                pass
            assert late.value("SCRIPT", "KILL") == Simple("+", b"OK")
            assert client.read().startswith(b"-ERR Script killed by user")
            assert late.value("PING") == other.value("PING") == Simple("+", b"PONG")


@pytest.mark.parametrize(
    "body",
    [
        "_G.x = 1",
        "rawset(_G, 'x', 1)",
        "setmetatable(string, {})",
        "table.insert(_G, 1)",
        "getmetatable('').__index = {}",
        "getmetatable(_G).__index = {}",
        "local k, t = pairs(redis) t.call = 1",
        "cjson.encode = nil",
    ],
)
def test_script_cannot_change_what_others_find(connect: Connect, body: str) -> None:
    reply = connect().value("EVAL", body, "0")
    assert isinstance(reply, Failure) and b"Attempt to modify a readonly table" in reply.text


def test_precompiled_code_is_refused(connect: Connect) -> None:
    client = connect()
    assert client.value("EVAL", "return loadstring(string.dump(function() return 1 end)) == nil", "0") == 1
    assert client.value("EVAL", "local p = string.dump(function() end) return load(function() local q = p p = nil return q end) == nil", "0") == 1  # noqa: E501


def test_error_objects_with_metatables_do_not_end_the_server(connect: Connect) -> None:
    client = connect()
    trap = "setmetatable({}, {__index = function() error('x') end})"
    assert isinstance(client.value("EVAL", f"error({trap})", "0"), Failure)
    assert client.command(b"EVAL", f"return {trap}".encode(), b"0") == b"*0\r\n"
    assert isinstance(client.value("EVAL", "error({})", "0"), Failure)
    assert client.value("PING") == Simple("+", b"PONG")


def test_deeply_nested_values_are_an_error_or_a_reply_and_never_a_crash(connect: Connect) -> None:
    client = connect()
    body = "local t = {} local x = t for i = 1, 100000 do x[1] = {} x = x[1] end "
    client.command(b"EVAL", (body + "return 1").encode(), b"0")
    assert isinstance(client.value("EVAL", body + "return cjson.encode(t)", "0"), Failure)
    assert isinstance(client.value("EVAL", body + "return cmsgpack.pack(t)", "0"), bytes)
    assert client.value("PING") == Simple("+", b"PONG")


def test_packed_values_come_back_equal(connect: Connect) -> None:
    body = """
        local t = {1, -1, 200, -200, 70000, -70000, 2^40, -2^40, 0.5, 0.1, 't', ('x'):rep(300), {a = {1, 2}}}
        local u = cmsgpack.unpack(cmsgpack.pack(t))
        for i = 1, 12 do if t[i] ~= u[i] then return i end end
        return {u[13].a[2], select(3, struct.unpack('>Hd', struct.pack('>Hd', 7, 0.25)))}
    """
    assert connect().command(b"EVAL", body.encode(), b"0") == b"*2\r\n:2\r\n:11\r\n"


def test_flushed_script_is_no_longer_known(connect: Connect) -> None:
    client = connect()
    sha = client.value("SCRIPT", "LOAD", "return 'flushed'")
    assert isinstance(sha, bytes)
    assert client.value("EVALSHA", sha, "0") == b"flushed"
    client.value("SCRIPT", "FLUSH")
    assert client.value("EVALSHA", sha, "0") == Failure(b"NOSCRIPT No matching script. Please use EVAL.")


def test_info_tells_how_many_scripts_are_cached_and_what_memory_they_take(connect: Connect) -> None:
    client = connect()
    client.value("SCRIPT", "FLUSH")
    for number in range(3):
        client.value("SCRIPT", "LOAD", f"return {number}")
    told = client.command(b"INFO", b"memory").decode()
    fields = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    assert fields["number_of_cached_scripts"] == "3"
    assert int(fields["used_memory_scripts_eval"]) >= 3 * len("return 0")
    assert int(fields["used_memory_vm_eval"]) > 0


def test_a_fault_inside_a_call_is_an_error_to_the_script_and_no_success() -> None:
    class Node:
        def write_refusal(self) -> bytes:
            raise LookupError("a fault of ours")

    lone = LoneEngine()
    assert lone.run("EVAL", "return 1", 0) == b":1\r\n"
    told: list[tuple[str, bytes]] = []
    lone.engine.on_fault = lambda fault, name: told.append((str(fault), name))
    lone.engine.node, lone.engine.guard = Node(), GUARD_MISCONF
    reply = lone.run("EVAL", "return redis.call('set', 'k', 'v')", 0)
    assert reply.startswith(b"-ERR internal error")
    assert told == [("a fault of ours", b"redis.call")]
    lone.engine.guard = 0
    assert lone.run("GET", "k") == b"$-1\r\n"
