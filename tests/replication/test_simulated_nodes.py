"""Unchanged nodes in virtual time: syncs, cuts, acknowledgements, fences."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.node.server import ServerNode
from holdfast.sim import World
from tests.replication.simulated import Client, Nodes


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with World(1) as world:
        yield Nodes(world)
        assert not world.errors


def is_up(nodes: Nodes, name: str) -> bool:
    node = nodes.running.get(name)
    return node is not None and node.replication.upstream.is_up


def is_intact_pair(nodes: Nodes, one: str, other: str) -> bool:
    first, second = nodes.running[one].replication, nodes.running[other].replication
    return first.end_offset == second.end_offset


def start_pair(nodes: Nodes, **settings: str) -> None:
    nodes.start("a", **settings)
    nodes.start("b", replicaof="a 7000", **settings)
    nodes.world.run_until(lambda: is_up(nodes, "b"), 10)


def test_a_replica_gets_the_data_and_then_the_stream(nodes: Nodes) -> None:
    nodes.start("a")

    async def fill() -> None:
        client = Client("a")
        for number in range(300):
            await client.send("SET", f"k{number}", "x" * number)
        for _ in range(300):
            assert await client.reply() == "OK"

    nodes.world.run(fill())
    nodes.start("b", replicaof="a 7000")
    nodes.world.run_until(lambda: is_up(nodes, "b"), 10)

    async def more() -> None:
        client = Client("a")
        assert await client.ask("SET", "late", 1) == "OK"
        assert await client.ask("WAIT", 1, 1000) == 1
        assert await nodes.ask("b", "GET", "late") == b"1"
        assert await nodes.ask("b", "GET", "k299") == b"x" * 299

    nodes.world.run(more())


@pytest.mark.parametrize("way", ["yes", "no"])
def test_a_cut_link_is_continued_when_it_heals(nodes: Nodes, way: str) -> None:
    start_pair(nodes, repl_timeout="3", repl_ping_replica_period="1", repl_diskless_sync=way)
    nodes.world.cut("a", "b")
    nodes.world.run(nodes.ask("a", "SET", "k", 1))
    nodes.world.run_until(lambda: not is_up(nodes, "b"), 10)
    nodes.world.heal("a", "b")
    nodes.world.run_until(lambda: is_up(nodes, "b"), 10)
    nodes.world.run_until(lambda: is_intact_pair(nodes, "a", "b"), 5)
    assert nodes.world.run(nodes.ask("b", "GET", "k")) == b"1"
    assert nodes.running["a"].traffic.full_syncs == 1
    assert nodes.running["a"].traffic.partial_syncs == 1


def test_writes_are_refused_before_the_first_member_has_come(nodes: Nodes) -> None:
    nodes.start("a", min_replicas_to_ack="1")
    nodes.world.run(1)
    reply = nodes.world.run(nodes.ask("a", "SET", "k", 1))
    assert str(reply).startswith("NOREPLICAS")
    assert nodes.world.run(nodes.ask("a", "GET", "k")) is None


def await_members(nodes: Nodes, name: str, count: int) -> None:
    def stand() -> bool:
        gate = nodes.running[name].replication.gate
        return (
            gate.gate is not None
            and not gate.gate.record.is_joint
            and len(gate.gate.record.newest.members) == count
            and gate.refusal is None
        )

    nodes.world.run_until(stand, 10, what=f"{count} members")


def test_an_acknowledged_write_is_on_the_replica(nodes: Nodes) -> None:
    start_pair(nodes, min_replicas_to_ack="1")
    await_members(nodes, "a", 1)

    async def write() -> None:
        client = Client("a")
        for number in range(50):
            await client.send("SET", "k", number)
            await client.send("GET", "k")
        for number in range(50):
            assert await client.reply() == "OK"
            engine = nodes.running["b"].engine
            assert engine.key_count(0) == 1
            assert await client.reply() == str(number).encode()

    nodes.world.run(write())


def test_a_write_without_acknowledgement_ends_with_noack(nodes: Nodes) -> None:
    start_pair(nodes, min_replicas_to_ack="1", min_replicas_to_ack_timeout="500")
    await_members(nodes, "a", 1)
    nodes.world.cut("a", "b")

    async def write() -> None:
        client = Client("a")
        await client.send("PING")
        await client.send("SET", "k", 1)
        await client.send("PING", "after")
        assert await client.reply() == "PONG"
        started = asyncio.get_running_loop().time()
        assert str(await client.reply()).startswith("NOACK")
        assert 0.4 < asyncio.get_running_loop().time() - started < 1
        assert await client.reply() == b"after"

    nodes.world.run(write())


def test_a_fenced_node_neither_writes_nor_acknowledges_and_says_where_it_stands(nodes: Nodes) -> None:
    start_pair(nodes, min_replicas_to_ack="1")
    await_members(nodes, "a", 1)

    async def fence() -> None:
        assert await nodes.ask("a", "SET", "k", 1) == "OK"
        reports = {}
        for name in ("b", "a"):
            words = await nodes.ask(name, "HOLDFAST", "FENCE", 5, "leader")
            reports[name] = dict(zip(words[::2], words[1::2], strict=True))
        assert reports["b"][b"intact"] == b"yes"
        assert int(reports["b"][b"position-offset"]) > 0
        assert str(await nodes.ask("a", "SET", "k", 2)).startswith("FENCED")
        assert str(await nodes.ask("b", "HOLDFAST", "FENCE", 4, "other")).startswith("FENCED")
        position = reports["b"][b"position-epoch"], reports["b"][b"position-offset"]
        assert await nodes.ask("b", "HOLDFAST", "PROMOTE", 5, "leader", *position) == "OK"
        node_id = reports["b"][b"node-id"]
        assert await nodes.ask("a", "HOLDFAST", "FOLLOW", 5, "leader", "b", 7000, node_id) == "OK"

    nodes.world.run(fence())
    nodes.world.run_until(lambda: is_up(nodes, "a"), 10)
    await_members(nodes, "b", 1)

    async def write() -> None:
        assert await nodes.ask("b", "SET", "k", 3) == "OK"
        assert await nodes.ask("a", "GET", "k") == b"3"

    nodes.world.run(write())
    assert nodes.running["b"].traffic.full_syncs == 0


def test_clients_of_a_demoted_node_are_told_so_before_they_are_sent_away(nodes: Nodes) -> None:
    start_pair(nodes)

    async def demote() -> None:
        client, busy = Client("a"), Client("a")
        assert await client.ask("SET", "k", 1) == "OK"
        assert await busy.ask("SET", "k", 1) == "OK"
        words = await nodes.ask("b", "HOLDFAST", "FENCE", 1, "leader")
        report = dict(zip(words[::2], words[1::2], strict=True))
        await nodes.ask("a", "HOLDFAST", "FENCE", 1, "leader")
        position = report[b"position-epoch"], report[b"position-offset"]
        assert await nodes.ask("b", "HOLDFAST", "PROMOTE", 1, "leader", *position) == "OK"
        follow = ("HOLDFAST", "FOLLOW", 1, "leader", "b", 7000, report[b"node-id"])
        assert await nodes.ask("a", *follow) == "OK"
        for _ in range(5):  # on its way when the node was demoted, and for a while after
            assert str(await client.ask("SET", "k", 2)).startswith("READONLY")
            assert str(await client.ask("GET", "k")).startswith("READONLY"), "an old value"
            assert await client.ask("PING") == "PONG"
            await asyncio.sleep(0.02)
        with pytest.raises(ConnectionError):
            await busy.reply()  # silent, so closed
        with pytest.raises(ConnectionError):
            await client.reply()
        assert await nodes.ask("a", "GET", "k") == b"1"

    nodes.world.run(demote())


def test_an_order_to_follow_that_is_repeated_leaves_the_link_alone(nodes: Nodes) -> None:
    start_pair(nodes)

    async def repeat() -> None:
        words = await nodes.ask("a", "HOLDFAST", "FENCE", 1, "leader")
        report = dict(zip(words[::2], words[1::2], strict=True))
        position = report[b"position-epoch"], report[b"position-offset"]
        assert await nodes.ask("a", "HOLDFAST", "PROMOTE", 1, "leader", *position) == "OK"
        follow = ("HOLDFAST", "FOLLOW", 1, "leader", "a", 7000, report[b"node-id"])
        assert await nodes.ask("b", *follow) == "OK"
        while not is_up(nodes, "b"):
            await asyncio.sleep(0.01)
        assert await nodes.ask("b", *follow) == "OK"
        assert is_up(nodes, "b")

    nodes.world.run(repeat())


def test_a_primary_that_comes_back_empty_wipes_nobody(nodes: Nodes) -> None:
    start_pair(nodes)
    nodes.world.run(nodes.ask("a", "SET", "k", 1))
    nodes.world.run_until(lambda: is_intact_pair(nodes, "a", "b"), 5)
    nodes.world.restart("a")
    nodes.world.run(5)
    assert nodes.world.run(nodes.ask("b", "GET", "k")) == b"1"
    refusal = nodes.running["b"].replication.upstream.refusal
    assert "lost history" in refusal
    text = nodes.world.run(nodes.ask("b", "INFO", "replication"))
    assert b"master_refused:the primary has lost history" in text


def test_flushall_is_followed_by_a_replica_that_was_away(nodes: Nodes) -> None:
    start_pair(nodes, repl_timeout="3", repl_ping_replica_period="1")
    nodes.world.run(nodes.ask("a", "SET", "k", 1))
    nodes.world.cut("a", "b")
    nodes.world.run(nodes.ask("a", "FLUSHALL"))
    nodes.world.run(8)
    nodes.world.heal("a", "b")
    nodes.world.run_until(lambda: is_up(nodes, "b"), 10)
    nodes.world.run_until(lambda: is_intact_pair(nodes, "a", "b"), 5)
    assert nodes.running["b"].engine.key_count(0) == 0


def test_a_linearizable_read_waits_for_the_members(nodes: Nodes) -> None:
    start_pair(nodes, min_replicas_to_ack="1", ack_reads="linearizable", min_replicas_to_ack_timeout="500")
    await_members(nodes, "a", 1)

    async def read() -> None:
        assert await nodes.ask("a", "SET", "k", 1) == "OK"
        assert await nodes.ask("a", "GET", "k") == b"1"
        nodes.world.cut("a", "b")
        assert str(await nodes.ask("a", "GET", "k")).startswith("NOACK")

    nodes.world.run(read())


def test_a_primary_that_restarts_from_its_log_is_followed(nodes: Nodes) -> None:
    start_pair(nodes, appendonly="yes", appendfsync="always")
    nodes.world.run(nodes.ask("a", "SET", "k", 1))
    nodes.world.run_until(lambda: is_intact_pair(nodes, "a", "b"), 5)
    before = nodes.running["a"]
    nodes.world.restart("a")
    nodes.world.run_until(lambda: nodes.running["a"] is not before, 5)
    nodes.world.run_until(lambda: bool(nodes.running["a"].traffic.partial_syncs), 10)
    nodes.world.run_until(lambda: is_up(nodes, "b"), 10)
    assert not nodes.running["a"].traffic.full_syncs
    nodes.world.run(nodes.ask("a", "SET", "l", 2))
    nodes.world.run_until(lambda: is_intact_pair(nodes, "a", "b"), 5)
    assert nodes.world.run(nodes.ask("b", "GET", "k")) == b"1"
    assert nodes.world.run(nodes.ask("b", "GET", "l")) == b"2"


def test_a_primary_that_restarts_twice_while_a_replica_is_away_is_followed(nodes: Nodes) -> None:
    start_pair(nodes, appendonly="yes", appendfsync="always")
    nodes.world.run(nodes.ask("a", "SET", "k", 1))
    nodes.world.run_until(lambda: is_intact_pair(nodes, "a", "b"), 5)
    nodes.world.cut("a", "b")
    for number in range(3):
        before = nodes.running["a"]
        nodes.world.restart("a")
        nodes.world.run_until(lambda before=before: nodes.running["a"] is not before, 5)
        nodes.world.run(nodes.ask("a", "SET", "l", number))
    nodes.world.heal("a", "b")
    nodes.world.run_until(lambda: is_up(nodes, "b"), 30)
    nodes.world.run_until(lambda: is_intact_pair(nodes, "a", "b"), 5)
    assert nodes.world.run(nodes.ask("b", "GET", "l")) == b"2"
    assert nodes.running["b"].replication.upstream.refusal == ""


def test_a_restarted_member_is_not_intact_until_it_has_caught_up(nodes: Nodes) -> None:
    start_pair(nodes, min_replicas_to_ack="1")
    await_members(nodes, "a", 1)
    assert nodes.world.run(nodes.ask("a", "SET", "k", 1)) == "OK"
    nodes.world.kill("b")
    nodes.world.cut("a", "b")
    nodes.world.start("b")
    nodes.world.run(1)
    assert not nodes.running["b"].replication.standing.node.state.intact
    nodes.world.heal("a", "b")
    nodes.world.run_until(lambda: nodes.running["b"].replication.standing.node.state.intact, 10)
    assert nodes.world.run(nodes.ask("b", "GET", "k")) == b"1"


def test_a_former_primary_under_a_manager_takes_no_writes_after_a_restart(nodes: Nodes) -> None:
    nodes.start("a")
    nodes.world.run(1)

    async def lead_then_restart() -> None:
        words = await nodes.ask("a", "HOLDFAST", "FENCE", 1, "leader")
        report = dict(zip(words[::2], words[1::2], strict=True))
        position = report[b"position-epoch"], report[b"position-offset"]
        assert await nodes.ask("a", "HOLDFAST", "PROMOTE", 1, "leader", *position) == "OK"
        assert await nodes.ask("a", "SET", "k", 1) == "OK"

    nodes.world.run(lead_then_restart())
    nodes.world.restart("a")
    nodes.world.run(1)
    assert str(nodes.world.run(nodes.ask("a", "SET", "k", 2))).startswith("FENCED")


def test_a_blocked_client_is_held_until_the_write_that_serves_it_is_acknowledged(nodes: Nodes) -> None:
    start_pair(nodes, min_replicas_to_ack="1", min_replicas_to_ack_timeout="500")
    await_members(nodes, "a", 1)

    async def block() -> None:
        waiting, pushing = Client("a"), Client("a")
        await waiting.send("BLPOP", "l", 0)
        await pushing.ask("PING")
        nodes.world.cut("a", "b")
        await pushing.send("RPUSH", "l", "x")
        assert str(await pushing.reply()).startswith("NOACK")
        assert str(await waiting.reply()).startswith("NOACK")

    nodes.world.run(block())


def test_a_replica_waits_in_line_while_another_syncs(nodes: Nodes) -> None:
    nodes.start("a", repl_max_concurrent_syncs="1", repl_diskless_sync_delay="1")
    for name in ("b", "c", "d"):
        nodes.start(name, replicaof="a 7000")
    for name in ("b", "c", "d"):
        nodes.world.run_until(lambda name=name: is_up(nodes, name), 20)  # type: ignore[misc]
    assert nodes.running["a"].traffic.full_syncs == 3


def test_one_snapshot_serves_all_who_wait(nodes: Nodes) -> None:
    nodes.start("a", repl_max_concurrent_syncs="10", repl_diskless_sync_delay="2")
    taken = []
    nodes.world.run(0.1)
    source = nodes.running["a"].replication.line.source
    begin = source.begin
    source.begin = lambda *given, **named: (taken.append(1), begin(*given, **named))[1]  # type: ignore[method-assign]
    for name in ("b", "c", "d"):
        nodes.start(name, replicaof="a 7000")
    for name in ("b", "c", "d"):
        nodes.world.run_until(lambda name=name: is_up(nodes, name), 20)  # type: ignore[misc]
    assert len(taken) == 1


def test_what_was_written_in_the_moment_of_the_fence_is_on_the_replicas(nodes: Nodes) -> None:
    """Whoever leads next need not fetch it: writes wait for that at a planned failover."""
    start_pair(nodes)
    before = nodes.running["a"].traffic.partial_syncs

    async def write_and_fence() -> tuple[int, int]:
        client = Client("a")
        for number in range(200):
            await client.send("SET", f"k{number}", "x" * 500)
        await client.send("HOLDFAST", "FENCE", 1, "leader")
        for _ in range(200):
            assert await client.reply() == "OK"
        ends = []
        for words in (await client.reply(), await nodes.ask("b", "HOLDFAST", "FENCE", 1, "leader")):
            ends.append(int(dict(zip(words[::2], words[1::2], strict=True))[b"position-offset"]))
        return ends[0], ends[1]

    old, new = nodes.world.run(write_and_fence())
    assert old == new
    assert nodes.running["b"].engine.key_count(0) == 200
    assert nodes.running["a"].traffic.partial_syncs == before


def test_a_fenced_node_fetches_the_tail_of_a_better_copy_and_may_then_lead(nodes: Nodes) -> None:
    start_pair(nodes, min_replicas_to_ack="1")
    nodes.start("c", replicaof="a 7000", min_replicas_to_ack="1")
    await_members(nodes, "a", 2)
    nodes.world.cut("a", "c")
    assert nodes.world.run(nodes.ask("a", "SET", "k", "only on b")) == "OK"
    nodes.world.kill("a")
    reports = {}

    async def fence(name: str) -> None:
        words = await nodes.ask(name, "HOLDFAST", "FENCE", 1, "leader")
        reports[name] = dict(zip(words[::2], words[1::2], strict=True))

    for name in ("b", "c"):
        nodes.world.run(fence(name))
    b, c = reports["b"], reports["c"]
    position = b[b"position-epoch"], b[b"position-offset"]
    assert int(c[b"position-offset"]) < int(b[b"position-offset"])
    promote = ("HOLDFAST", "PROMOTE", 1, "leader", *position)
    assert str(nodes.world.run(nodes.ask("c", *promote))).startswith("NOPROMOTE")
    fetch = ("HOLDFAST", "FETCH", 1, "leader", "b", 7000, b[b"node-id"], *position)
    assert nodes.world.run(nodes.ask("c", *fetch)) == "OK"
    nodes.world.run_until(lambda: nodes.running["c"].engine.key_count(0) == 1, 10)
    assert nodes.world.run(nodes.ask("c", *promote)) == "OK"
    follow = ("HOLDFAST", "FOLLOW", 1, "leader", "c", 7000, c[b"node-id"])
    assert nodes.world.run(nodes.ask("b", *follow)) == "OK"
    await_members(nodes, "c", 2)
    assert nodes.world.run(nodes.ask("c", "GET", "k")) == b"only on b"


def test_the_promise_can_be_asked_for_and_given_up_while_the_node_runs(nodes: Nodes) -> None:
    start_pair(nodes)
    assert nodes.running["a"].engine.guard == 0
    assert nodes.world.run(nodes.ask("a", "CONFIG", "SET", "min-replicas-to-ack", 1)) == "OK"
    await_members(nodes, "a", 1)
    assert nodes.world.run(nodes.ask("a", "SET", "k", 1)) == "OK"
    assert nodes.running["b"].engine.key_count(0) == 1
    assert nodes.world.run(nodes.ask("a", "CONFIG", "SET", "min-replicas-to-ack", 0)) == "OK"
    nodes.world.run_until(lambda: nodes.running["a"].replication.gate.gate is None, 5)
    assert nodes.running["a"].engine.guard == 0
    nodes.world.cut("a", "b")
    assert nodes.world.run(nodes.ask("a", "SET", "k", 2)) == "OK"


def test_a_shutdown_waits_for_a_replica_that_lags(nodes: Nodes) -> None:
    start_pair(nodes)
    nodes.world.slow_reader("b", 100_000)

    async def write_and_end() -> None:
        client = Client("a")
        for number in range(20):
            assert await client.ask("SET", f"k{number}", "x" * 10_000) == "OK"
        await client.send("SHUTDOWN")
        with pytest.raises((ConnectionError, OSError)):
            await client.reply()

    nodes.world.run(write_and_end())
    assert nodes.world.now > 2
    assert nodes.running["b"].engine.key_count(0) == 20


def test_failover_to_a_replica_under_the_simulator(nodes: Nodes) -> None:
    start_pair(nodes)
    assert nodes.world.run(nodes.ask("a", "SET", "k", 1)) == "OK"
    assert nodes.world.run(nodes.ask("a", "FAILOVER")) == "OK"
    nodes.world.run_until(lambda: is_up(nodes, "a"), 10)
    assert nodes.world.run(nodes.ask("b", "SET", "k", 2)) == "OK"
    nodes.world.run_until(lambda: is_intact_pair(nodes, "a", "b"), 5)
    assert nodes.world.run(nodes.ask("a", "GET", "k")) == b"2"
    assert nodes.running["b"].traffic.full_syncs == 0


def loads_slowly(node: ServerNode) -> None:
    """Let the load take a second, as that of a large file does."""
    keeper: Any = node.keeper
    load = keeper.load

    async def slowly() -> None:
        await asyncio.sleep(1)
        await load()

    keeper.load = slowly


def test_while_the_files_are_loaded_a_node_knows_whom_it_obeyed_and_takes_no_other_order(
    nodes: Nodes,
) -> None:
    nodes.start("a", appendonly="yes")

    async def fill() -> None:
        client = Client("a")
        assert await client.ask("SET", "k", 1) == "OK"
        assert "7" in str(await client.ask("HOLDFAST", "FENCE", 7, "leader"))

    nodes.world.run(fill())
    before = nodes.running["a"].replication.standing.node.state
    nodes.adapt = loads_slowly
    nodes.world.restart("a")

    async def meddle() -> None:
        while nodes.running["a"].replication.standing.node.state is before:
            await asyncio.sleep(0.001)
        client = Client("a")
        assert "FENCED" in str(await client.ask("HOLDFAST", "FENCE", 3, "late"))
        lease = await client.ask("HOLDFAST", "LEASE", "s", 300, 3, "-", 0, 3, 1, "VOTERS", "s", "t", "u")
        assert "LOADING" in str(lease)

    nodes.world.run(meddle())
    nodes.world.run_until(lambda: nodes.running["a"].replication.is_started, 10)
    after = nodes.running["a"].replication.standing.node.state
    assert (after.node_id, after.fence_epoch) == (before.node_id, 7)


def test_a_write_that_another_client_lets_go_on_waits_for_its_acknowledgement(nodes: Nodes) -> None:
    """CLIENT UNPAUSE runs inside a request of its own: what it resumes is none of that request's."""
    start_pair(nodes, min_replicas_to_ack="1", min_replicas_to_ack_timeout="500")
    nodes.world.run_until(lambda: not nodes.running["a"].replication.gate.holds_back, 10)

    async def pause_and_write() -> None:
        writer, other = Client("a"), Client("a")
        await other.ask("CLIENT", "PAUSE", 100_000, "WRITE")
        await writer.send("SET", "k", 1)
        await asyncio.sleep(0.1)
        nodes.world.cut("a", "b")
        assert await other.ask("CLIENT", "UNPAUSE") == "OK"
        assert "NOACK" in str(await writer.reply())

    nodes.world.run(pause_and_write())
    nodes.world.heal("a", "b")
    nodes.world.run_until(lambda: is_intact_pair(nodes, "a", "b"), 20)
    assert nodes.world.run(nodes.ask("b", "GET", "k")) == b"1"


def test_the_command_that_ends_a_pause_reaches_no_replica(nodes: Nodes) -> None:
    start_pair(nodes)
    heard: list[bytes] = []
    nodes.running["a"].sinks.append(heard.append)

    async def pause_and_write() -> None:
        writer, other = Client("a"), Client("a")
        await other.ask("CLIENT", "PAUSE", 100_000, "WRITE")
        await writer.send("SET", "k", 1)
        await asyncio.sleep(0.1)
        await other.ask("CLIENT", "UNPAUSE")
        assert await writer.reply() == "OK"

    nodes.world.run(pause_and_write())
    stream = b"".join(heard)
    assert b"SET" in stream
    assert b"UNPAUSE" not in stream


def test_a_sentinel_that_knows_of_no_fence_does_not_lift_it(nodes: Nodes) -> None:
    """REPLICAOF is obeyed as an operator's word; from whoever grants the lease an order needs an epoch."""
    start_pair(nodes)

    async def order() -> None:
        sentinel, operator = Client("b"), Client("b")
        await sentinel.ask("HOLDFAST", "LEASE", "s1", 0, 0, "-", 0, 0, 0)
        assert await sentinel.ask("REPLICAOF", "a", 7000) == "OK Already connected to specified master"
        await operator.ask("HOLDFAST", "FENCE", 1, "s2")
        assert "FENCED" in str(await sentinel.ask("REPLICAOF", "a", 7000))
        assert await operator.ask("REPLICAOF", "a", 7000) == "OK"

    nodes.world.run(order())
