"""A run is a function of its seed: other hash seeds and other processes change nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import redis.asyncio
import redis.exceptions

from holdfast.server.host import Host
from holdfast.sim import World
from tests.sim.programs import PORT, resp

ROOT = Path(__file__).parents[2]


async def count(client: redis.asyncio.Redis) -> int:
    """Add one."""
    return int(await client.incr("n"))


async def client(host: Host) -> None:
    """Count on all servers with clients that time out, reconnect and wait for several at once."""
    clients = [
        redis.asyncio.Redis(host=name, port=PORT, protocol=2, socket_timeout=1, socket_connect_timeout=1)
        for name in ("a", "b", "c")
    ]
    while True:
        counts = {asyncio.create_task(count(one)) for one in clients}
        done, _ = await asyncio.wait(counts)
        for task in done:
            assert isinstance(task.exception(), redis.exceptions.RedisError | None)
            await asyncio.sleep(host.random.random() / 10)


def scenario(seed: int) -> World:
    """Run servers and clients through cuts, kills, pauses and a power loss drawn from the seed."""
    world = World(seed, trace=True)
    luck = world.luck("scenario")
    for name in ("a", "b", "c"):
        world.start(name, resp)
    for name in ("x", "y"):
        world.start(name, client)
    for _ in range(12):
        world.run(luck.random() * 2)
        name = luck.choice(("a", "b", "c"))
        match luck.randrange(5):
            case 0:
                world.cut("x", name, one_way=luck.random() < 0.5)
            case 1:
                world.restart(name)
            case 2:
                world.pause(name)
            case 3:
                world.power_loss(name)
                world.power_on(name)
            case 4:
                world.reset("y", name)
        world.run(luck.random() * 2)
        world.resume(name)
        world.heal_all()
    world.close()
    return world


def test_the_same_seed_writes_the_same_log_under_other_hash_seeds() -> None:
    logs = [
        subprocess.run(
            [sys.executable, "-m", "tests.sim.test_determinism", "5"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
            timeout=60,
        ).stdout
        for hash_seed in ("1", "4242")
    ]
    assert logs[0].count(b"\n") > 500
    assert logs[0] == logs[1]


def test_another_seed_writes_another_log() -> None:
    assert scenario(5).log_bytes() != scenario(6).log_bytes()


if __name__ == "__main__":
    sys.stdout.buffer.write(scenario(int(sys.argv[1])).log_bytes())
