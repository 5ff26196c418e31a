"""kill -9 and power loss at any moment: what was acknowledged must come back.

Each client writes rising numbers under a key of its own, so that one number says what survived. After
kill -9 nothing written may be missing under any policy, for the kernel has it; power loss is the
simulator's, whose disk forgets what was not synced.
"""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from pathlib import Path

import pytest

from holdfast.sim import World
from tests.persistence.commands import command
from tests.persistence.nodes import Client, Failure, ServerProcess, build

KILLS = 25
WRITERS = 4
SECOND_US = 1_000_000


class Writer(threading.Thread):
    """Sets `key` to rising numbers, some at once, and remembers the last acknowledged one."""

    def __init__(self, connection: socket.socket, key: str, first: int, pipeline: int) -> None:
        super().__init__(daemon=True)
        self.connection, self.key, self.pipeline = connection, key, pipeline
        self.sent = self.acknowledged = first

    def run(self) -> None:
        try:
            while True:
                numbers = range(self.sent + 1, self.sent + 1 + self.pipeline)
                self.sent = numbers[-1]
                self.connection.sendall(b"".join(command("SET", self.key, str(number)) for number in numbers))
                answer = b""
                while answer.count(b"+OK\r\n") < self.pipeline:
                    piece = self.connection.recv(4096)
                    if not piece:
                        return
                    answer += piece
                    self.acknowledged = numbers[0] + answer.count(b"+OK\r\n") - 1
        except OSError:
            return


@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_kill_minus_nine_loses_nothing_that_was_acknowledged(tmp_path: Path, policy: str) -> None:
    luck = random.Random(policy)
    writers: list[Writer] = []
    first = 0
    for round_number in range(KILLS):
        with ServerProcess(tmp_path, "--appendonly", "yes", "--appendfsync", policy) as server:
            probe = server.connect()
            for writer in writers:
                probe.sendall(command("GET", writer.key))
                found = int(probe.recv(100).split(b"\r\n")[1])
                assert writer.acknowledged <= found <= writer.sent, f"round {round_number}"
                first = max(first, writer.sent)
            writers = [Writer(server.connect(), f"key {n}", first, 1 + n * 5) for n in range(WRITERS)]
            for writer in writers:
                writer.start()
            if round_number % 3 == 0:
                probe.sendall(command("BGREWRITEAOF"))
            writers[0].join(luck.uniform(0.01, 0.06))  # the moment of the kill is a matter of luck
            server.kill()
            for writer in writers:
                writer.join()
            # A writer that was cut before its first answer has nothing to ask for.
            writers = [writer for writer in writers if writer.acknowledged > first]


@pytest.mark.parametrize("policy", ["always", "everysec"])
@pytest.mark.parametrize("seed", range(6))
def test_power_loss_costs_nothing_with_always_and_a_second_with_everysec(policy: str, seed: int) -> None:
    """`everysec` may lose what was acknowledged within the last second, and what the sync took on top."""
    luck = random.Random(seed)
    acknowledged: list[tuple[int, float]] = []
    log: list[str] = []
    found: list[int] = []

    async def serve(host: object) -> None:
        open_to_all = ("--port", "7000", "--bind", "*", "--protected-mode", "no")
        node = build(host, "/", log, *open_to_all, "--appendonly", "yes", "--appendfsync", policy)
        await node.start()
        await asyncio.Event().wait()

    with World(seed) as world:
        address = world.host("node").address

        async def write() -> None:
            client = await Client.connect(address, 7000)
            number = 0
            while True:
                number += 1
                await client.call("SET", "number", str(number))
                acknowledged.append((number, world.now))
                if number == 300:
                    await client.call("BGREWRITEAOF")
                await asyncio.sleep(luck.choice((0.0, 0.002, 0.01)))

        async def read() -> None:
            client = await Client.connect(address, 7000)
            while True:
                try:
                    value = await client.call("GET", "number")
                    break
                except Failure:
                    await asyncio.sleep(0.01)
            found.append(int(value) if isinstance(value, bytes) else 0)

        world.start("node", serve)
        world.start("writer", lambda host: write())
        world.run(2 + luck.random() * 3)
        world.power_loss("node")
        lost_at = world.now
        world.power_on("node")
        world.run(1)
        world.kill("writer")
        world.run(read())
    allowance_s = 0.0 if policy == "always" else 1.2
    sure = max((number for number, at in acknowledged if at <= lost_at - allowance_s), default=0)
    assert len(acknowledged) > 300
    assert found[0] >= sure, log[-5:]
