"""The promise of min-replicas-to-ack: kill -9 at random moments, and not one OK is a lie."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from holdfast.engine import held
from holdfast.replication.reply_gate import ReplyGate
from holdfast.sim import World
from tests.replication.leader import lead
from tests.replication.processes import Server, await_true
from tests.replication.simulated import PORT, Client, Nodes

NAMES = ("a", "b", "c")
PROCESS_RUNS = int(os.environ.get("HOLDFAST_KILL_RUNS", "2"))


@pytest.mark.parametrize("seed", range(25))
def test_a_simulated_kill_loses_nothing_that_was_acknowledged(seed: int) -> None:
    luck = random.Random(seed)
    with World(seed) as world:
        nodes = Nodes(world)
        nodes.start("a", min_replicas_to_ack="1")
        for name in ("b", "c"):
            nodes.start(name, replicaof="a 7000", min_replicas_to_ack="1")
        world.run_until(lambda: members(nodes, "a") == 2, 10, what="two members")
        acknowledged: set[str] = set()
        if luck.random() < 0.5:
            world.cut("a", luck.choice("bc"))
        for number in range(3):
            world.loop.create_task(write(number, acknowledged))
        world.run(luck.random() * 0.5 + 0.01)
        if luck.random() < 0.7:  # what is written now reaches nobody, and must not be answered OK
            world.partition(["a"], ["b", "c"])
            world.run(luck.random() * 0.2)
        world.kill("a")
        world.run(luck.random() * 0.05)
        addresses = {name: (name, PORT) for name in ("b", "c")}

        def ask(name: str, *words: object) -> Any:
            reply = world.run(nodes.ask(name, *words))
            assert not isinstance(reply, Exception), reply
            return reply

        chosen = lead(ask, 1, addresses, set(), lambda: world.run(0.2))
        other = "b" if chosen == "c" else "c"
        world.run_until(lambda: nodes.running[other].replication.upstream.is_up, 20, what="the other follows")
        held = set(world.run(all_keys(chosen)))
        assert acknowledged <= held
        assert acknowledged
        world.run_until(lambda: members(nodes, chosen) == 1, 20, what="a member")
        assert world.run(nodes.ask(chosen, "SET", "k", 1)) in ("OK",)


def members(nodes: Nodes, name: str) -> int:
    """Return how many members are online and in force."""
    if name not in nodes.running:
        return 0
    replication = nodes.running[name].replication
    gate = replication.gate.gate
    if gate is None or gate.record.is_joint or replication.gate.refusal is not None:
        return 0
    online = {each.attachment.node_id for each in replication.stream.replicas}
    return len(gate.record.newest.members & online)


async def write(number: int, acknowledged: set[str]) -> None:
    client = Client("a")
    try:
        for count in range(100_000):
            names = [f"{number}:{count}:{part}" for part in range(3)]
            for name in names:
                await client.send("SET", name, "x")
            for name in names:
                if await client.reply() == "OK":
                    acknowledged.add(name)
            await asyncio.sleep(0.001)
    except (ConnectionError, OSError):
        return


async def all_keys(name: str) -> list[str]:
    client = Client(name)
    return [key.decode() for key in await client.ask("KEYS", "*")]


@pytest.mark.parametrize("run", range(PROCESS_RUNS))
def test_a_killed_process_loses_nothing_that_was_acknowledged(run: int, tmp_path: Path) -> None:
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(Server("ours", tmp_path / name, "--min-replicas-to-ack", "1"))
            for name in NAMES
        }
        for name in ("b", "c"):
            servers[name].follow(servers["a"].port)
        await_true(lambda: str(servers["a"].info("ack_members")).count(",") == 1, "two members")
        await_true(lambda: servers["a"].info("ack_promise") == "kept", "the promise stands")
        acknowledged: set[bytes] = set()
        threads = [
            threading.Thread(target=write_to_process, args=(servers["a"].port, number, acknowledged))
            for number in range(4)
        ]
        for thread in threads:
            thread.start()
        goal = random.Random(run).randrange(50, 3000)
        await_true(lambda: len(acknowledged) > goal, "writes are acknowledged")
        servers["a"].kill()
        for thread in threads:
            thread.join()

        def ask(name: str, *words: Any) -> Any:
            return servers[name].client.execute_command(*words)

        addresses = {name: ("127.0.0.1", servers[name].port) for name in ("b", "c")}
        chosen = lead(ask, 1, addresses, set(), lambda: None)
        held = set(servers[chosen].client.scan_iter(count=10_000))
        assert acknowledged <= held


def write_to_process(port: int, number: int, acknowledged: set[bytes]) -> None:
    client = redis.Redis(port=port, protocol=2)
    try:
        for count in range(1_000_000):
            names = [f"{number}:{count}:{part}".encode() for part in range(5)]
            pipe = client.pipeline(transaction=False)
            for name in names:
                pipe.set(name, "x")
            replies = pipe.execute(raise_on_error=False)
            acknowledged.update(name for name, reply in zip(names, replies, strict=True) if reply is True)
    except redis.ConnectionError:
        return


def test_a_gate_that_lets_replies_go_at_once_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def let_go(gate: ReplyGate) -> None:
        offset = gate._stream.offset
        for session in held.settle_held(gate._node.engine, offset):
            held.release_held(session, offset)

    monkeypatch.setattr(ReplyGate, "settle", let_go)
    with pytest.raises(AssertionError, match=r"assert {"):
        for seed in range(6):
            test_a_simulated_kill_loses_nothing_that_was_acknowledged(seed)
