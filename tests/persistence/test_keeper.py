"""A node and its files: what it loads, what it says, switching the AOF, and disks that refuse."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from holdfast.persistence.loader import LoadFailed
from holdfast.server.config import ConfigSetError
from holdfast.server.machine import Machine
from tests.persistence.disks import LocalDisk
from tests.persistence.nodes import Client, Failure, build, running, until


class OnLocalDisk(Machine):
    """A machine whose disk fails on demand; without fork, so that every byte goes through that disk."""

    def __init__(self) -> None:
        super().__init__(seed=1)
        self.local = LocalDisk()
        self.disk = self.local
        self.can_fork = False


async def test_start_takes_the_aof_when_it_is_on_and_says_so_in_one_line(tmp_path: Path) -> None:
    async with running(tmp_path, "--appendonly", "yes") as (_, client):
        await client.call("SET", "k", "aof")
    async with running(tmp_path) as (_, client):
        await client.call("SET", "k", "rdb")
        await client.call("SAVE")
    log: list[str] = []
    async with running(tmp_path, "--appendonly", "yes", log=log) as (_, client):
        assert await client.call("GET", "k") == b"aof"
    line = next(line for line in log if "DB loaded" in line)
    assert "DB loaded from append only file: 0.0" in line and "up to offset" in line
    async with running(tmp_path, log=log) as (node, client):
        assert await client.call("GET", "k") == b"rdb"
        assert node.keeper.last_load == (1, 0)
    line = next(line for line in log if "DB loaded from disk" in line)
    assert "dump.rdb: 1 keys, up to offset" in line


async def test_an_rdb_that_appendonly_passes_over_is_told(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        await client.call("SET", "k", "v")
        await client.call("SAVE")
    log: list[str] = []
    async with running(tmp_path, "--appendonly", "yes", log=log):
        assert "dump.rdb is NOT loaded" in "".join(log)


async def test_a_damaged_rdb_ends_the_start_with_file_offset_and_tool(tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").write_bytes(b"REDIS0010\x00\x01k\x05abc")
    node = build(Machine(), str(tmp_path), [])
    with pytest.raises(
        LoadFailed, match=r"dump\.rdb, offset 12: the file ends inside key b'k'.*holdfast check-rdb"
    ):
        await node.start()
    await node.stop()
    assert (tmp_path / "dump.rdb").read_bytes() == b"REDIS0010\x00\x01k\x05abc"


@pytest.mark.parametrize("preamble", ["yes", "no"])
async def test_the_aof_is_switched_on_live_and_off_again(tmp_path: Path, preamble: str) -> None:
    options = ("--aof-use-rdb-preamble", preamble)
    async with running(tmp_path, *options) as (node, client):
        for number in range(1000):
            await client.call("SET", f"k{number}", str(number))
        node.configuration.set_all(["appendonly", "yes"])
        await client.call("SET", "during", "1")
        await until(lambda: not node.keeper.busy)
        assert node.keeper.fields()["aof_enabled"] == 1
        await client.call("SET", "after", "1")
        assert await client.call("WAITAOF", "1", "0", "0") == [1, 0]
    async with running(tmp_path, "--appendonly", "yes", *options) as (node, client):
        assert await client.call("GET", "k999") == b"999"
        assert [await client.call("GET", key) for key in ("during", "after")] == [b"1", b"1"]
        node.configuration.set_all(["appendonly", "no"])
        await client.call("SET", "off", "1")
        with pytest.raises(Failure, match="ERR WAITAOF cannot be used when numlocal is set but appendonly"):
            await client.call("WAITAOF", "1", "0", "0")
    async with running(tmp_path, "--appendonly", "yes", *options) as (_, client):
        assert await client.call("GET", "off") is None


async def test_a_rewrite_under_writes_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, "--appendonly", "yes") as (node, client):
        for number in range(2000):
            client.writer.write(b"INCR counter\r\nSET k%d %d\r\n" % (number, number))
            if number == 700:
                client.writer.write(b"BGREWRITEAOF\r\nINCR counter\r\n")
        for _ in range(4002):
            await client.reply()
        await until(lambda: not node.keeper.busy)
        assert node.keeper.fields()["aof_rewrites"] == 1
    async with running(tmp_path, "--appendonly", "yes") as (_, client):
        assert await client.call("GET", "counter") == b"2001"
        assert await client.call("GET", "k1999") == b"1999"


@pytest.mark.parametrize("policy", ["always", "everysec"])
async def test_a_full_disk_refuses_writes_serves_reads_and_heals(tmp_path: Path, policy: str) -> None:
    host = OnLocalDisk()
    async with running(tmp_path, "--appendonly", "yes", "--appendfsync", policy, host=host) as (node, client):
        assert await client.call("SET", "k", "v") == b"OK"
        host.local.space_left = 3
        late = asyncio.ensure_future(client.call("SET", "k", "late"))
        other = await Client.connect("127.0.0.1", node.port)
        await until(lambda: node.keeper.trouble.refusal is not None)
        with pytest.raises(Failure, match="MISCONF Errors writing to the AOF file: No space left on device"):
            await other.call("SET", "k", "refused")
        assert await other.call("GET", "k") == b"late"
        assert late.done() == (policy == "everysec")  # with always a promise waits for the disk
        host.local.space_left = None
        node.keeper.aof.writer.health.failed_at_ms = -1  # as if the time until the next try were over
        assert await late == b"OK"
        await until(lambda: node.keeper.trouble.refusal is None)
        assert await other.call("SET", "k", "healed") == b"OK"
        other.close()
    async with running(tmp_path, "--appendonly", "yes", host=OnLocalDisk()) as (_, client):
        assert await client.call("GET", "k") == b"healed"


async def test_with_everysec_writes_wait_for_a_sync_that_hangs_and_reads_go_on(tmp_path: Path) -> None:
    host = OnLocalDisk()
    async with running(tmp_path, "--appendonly", "yes", host=host) as (node, client):
        other = await Client.connect("127.0.0.1", node.port)
        gate = asyncio.Event()
        host.local.sync_gate = gate
        assert await client.call("SET", "k", "acknowledged") == b"OK"
        await until(lambda: node.keeper.aof.writer.syncs.is_late)
        waiting = asyncio.ensure_future(client.call("SET", "k", "waits"))
        while await other.call("GET", "k") != b"waits":
            await asyncio.sleep(0)
        assert not waiting.done()
        gate.set()
        assert await waiting == b"OK"
        assert await other.call("SET", "k", "at once") == b"OK"
        other.close()


async def test_an_aof_that_cannot_be_switched_on_is_refused_and_stays_off(tmp_path: Path) -> None:
    host = OnLocalDisk()
    async with running(tmp_path, host=host) as (node, client):
        (tmp_path / "appendonlydir").write_bytes(b"in the way")
        with pytest.raises(ConfigSetError, match="Unable to turn on AOF"):
            node.configuration.set_all(["appendonly", "yes"])
        assert await client.call("SET", "k", "v") == b"OK"
        assert node.configuration["appendonly"] is False


async def test_while_loading_clients_are_told_and_info_shows_progress(tmp_path: Path) -> None:
    async with running(tmp_path, "--rdbcompression", "no") as (_, client):
        for number in range(20):
            await client.call("SET", f"k{number}", b"%d" % number * 500_000)
        await client.call("SAVE")
    node = build(Machine(), str(tmp_path), [])
    starting = asyncio.ensure_future(node.start())
    await until(lambda: node.keeper.loading is not None and node.listeners.ports)
    assert node.keeper.fields()["loading"] == 1
    assert "loading_loaded_perc" in node.keeper.fields()
    client = await Client.connect("127.0.0.1", node.port)
    await starting
    assert await client.call("GET", "k7") == b"7" * 500_000
    client.close()
    await node.stop()


async def test_a_reload_brings_back_the_same_data(tmp_path: Path) -> None:
    async with running(tmp_path) as (node, client):
        await client.call("SET", "k", "v", "PX", "1000000")
        node.keeper.reload()
        assert await client.call("GET", "k") == b"v"
        assert node.engine.volatile_count(0) == 1
