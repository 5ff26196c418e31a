"""kill -9 and power loss at any moment: what was acknowledged must come back.

Each client writes rising numbers under a key of its own, so that one number says what survived. After
kill -9 the kernel still has what was written; but `everysec` postpones a write while a sync runs, so that it
may lose what was acknowledged since. That never spans more than a second, however slow the disk is: then
replies wait. Power loss is the simulator's, whose disk forgets what was not synced.

HOLDFAST_KILLS=50 HOLDFAST_POWER_LOSSES=50 runs the full counts.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import threading
import time
from pathlib import Path

import pytest

from holdfast.persistence.check_aof import Report, check, mend
from holdfast.persistence.loader import LoadFailed
from holdfast.server.host import Disk, Host
from holdfast.sim import World
from tests.persistence.commands import command
from tests.persistence.nodes import Client, Failure, ServerProcess, build

KILLS = int(os.environ.get("HOLDFAST_KILLS", "8"))
"""Of each policy; the full count is 50."""
POWER_LOSSES = int(os.environ.get("HOLDFAST_POWER_LOSSES", "4"))
"""Of each policy; the full count is 50."""
WRITERS = 4
AT_STAKE_S = 1.0
"""Acknowledgements of what a crash may cost with `everysec` lie within this."""
HEARD_LATE_S = 0.5
"""A client on a busy machine may hear of one so much later than of another."""
LONG_ROUND_S = 2.5
"""Of every tenth round of a full run: long enough for that bound to say something."""


class Writer(threading.Thread):
    """Sets `key` to rising numbers, some at once, and remembers the last acknowledged one."""

    def __init__(self, connection: socket.socket, key: str, first: int, pipeline: int) -> None:
        super().__init__(daemon=True)
        self.connection, self.key, self.pipeline = connection, key, pipeline
        self.sent = self.acknowledged = self.first = first
        self.history: list[tuple[float, int]] = []
        """When which number had been acknowledged."""

    def surely_kept(self, last_heard_at: float, policy: str) -> int:
        """The number that must survive; the last acknowledgement of all clients came at this moment."""
        if policy == "always":
            return self.acknowledged
        surely_before = last_heard_at - AT_STAKE_S - HEARD_LATE_S
        return max((n for at, n in self.history if at <= surely_before), default=self.first)

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
                self.history.append((time.monotonic(), self.acknowledged))
        except OSError:
            return


@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_kill_minus_nine_loses_nothing_with_always_and_what_a_sync_kept_waiting_with_everysec(
    tmp_path: Path, policy: str
) -> None:
    luck = random.Random(policy)
    writers: list[Writer] = []
    kept: dict[str, int] = {}
    last_heard_at = 0.0
    for round_number in range(KILLS):
        with ServerProcess(tmp_path, "--appendonly", "yes", "--appendfsync", policy) as server:
            probe = server.connect()
            for writer in writers:
                found = value_of(probe, writer.key)
                sure = writer.surely_kept(last_heard_at, policy)
                assert sure <= found <= writer.sent, f"round {round_number}"
                kept[writer.key] = found
            writers = [
                Writer(server.connect(), key, kept.get(key, 0), 1 + n * 5)
                for n, key in enumerate(f"key {n}" for n in range(WRITERS))
            ]
            for writer in writers:
                writer.start()
            if round_number % 3 == 0:
                probe.sendall(command("BGREWRITEAOF"))
            # The moment of the kill is a matter of luck.
            writers[0].join(LONG_ROUND_S if round_number % 10 == 9 else luck.uniform(0.01, 0.06))
            server.kill()
            for writer in writers:
                writer.join()
            last_heard_at = max((writer.history[-1][0] for writer in writers if writer.history), default=0.0)


def value_of(probe: socket.socket, key: str) -> int:
    """Return the number under a key, 0 when there is none."""
    probe.sendall(command("GET", key))
    answer = b""
    while answer.count(b"\r\n") < (1 if answer.startswith(b"$-1") else 2):
        answer += probe.recv(100)
    return 0 if answer == b"$-1\r\n" else int(answer.split(b"\r\n")[1])


def checked(disk: Disk, path: str) -> Report:
    """Return what check-aof finds."""
    steps = check(disk, path)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            report: Report = end.value
            return report


@pytest.mark.parametrize("policy", ["always", "everysec"])
@pytest.mark.parametrize("seed", range(POWER_LOSSES))
def test_power_loss_costs_nothing_with_always_and_a_second_with_everysec(policy: str, seed: int) -> None:
    """`everysec` may lose what was acknowledged within the last second."""
    luck = random.Random(seed)
    acknowledged: list[tuple[int, float]] = []
    log: list[str] = []
    found: list[int] = []

    async def serve(host: Host) -> None:
        open_to_all = ("--port", "7000", "--bind", "*", "--protected-mode", "no")
        node = build(host, "/", log, *open_to_all, "--appendonly", "yes", "--appendfsync", policy)
        try:
            await node.start()
        except LoadFailed as refusal:
            # A page in the middle is gone, later ones are not: the server names file, offset and remedy.
            assert "Mend it with: holdfast check-aof --fix /appendonlydir/" in str(refusal)
            await node.stop()
            mend(host.disk, checked(host.disk, "/appendonlydir/appendonly.aof.manifest"))
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
    allowance_s = 0.0 if policy == "always" else 1.0
    sure = max((number for number, at in acknowledged if at <= lost_at - allowance_s), default=0)
    assert len(acknowledged) > 300
    assert found[0] >= sure, log[-5:]


def test_a_lone_write_with_everysec_is_safe_after_a_second_however_slow_the_cron_is() -> None:
    found: list[object] = []
    log: list[str] = []

    async def serve(host: Host) -> None:
        node = build(
            host, "/", log, "--port", "7000", "--bind", "*", "--protected-mode", "no", "--hz", "1",
            "--appendonly", "yes", "--appendfsync", "everysec",
        )  # fmt: skip
        await node.start()
        await asyncio.Event().wait()

    with World(1) as world:
        address = world.host("node").address

        async def write() -> None:
            client = await Client.connect(address, 7000)
            await client.call("SET", "lone", "kept")

        async def read() -> None:
            client = await Client.connect(address, 7000)
            found.append(await client.call("GET", "lone"))

        world.start("node", serve)
        world.run(1)
        world.run(write())
        world.run(1)
        world.power_loss("node")
        world.power_on("node")
        world.run(1)
        world.run(read())
    assert found == [b"kept"], log[-5:]
