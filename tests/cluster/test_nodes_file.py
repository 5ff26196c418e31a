"""nodes.conf: written and read again, by ours and by redis-server, and what a crash leaves of it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from holdfast.cluster import flags, nodes_file, slots
from holdfast.cluster.model import Node, View
from holdfast.cluster.nodes_file import NodesFileError
from holdfast.cluster.settings import Settings
from holdfast.cluster.store import NodesFileLocked, NodesStore
from holdfast.server.machine import Machine
from holdfast.sim import World
from tests.cluster.processes import OURS, STOCK, Cluster, ClusterNode, until
from tests.peers import require_peer

A, B, C, D = (letter * 40 for letter in "abcd")
SECOND = f"{B} 10.0.0.2:7001@17001,,nodename=second,tls-port=0,shard-id={D}"
FIRST_SLOTS = f"0-99 200 [3->-{B}] [9-<-{B}]"
OF_REDIS_7_2 = f"""\
{A} 10.0.0.1:7000@17000,host-a,tls-port=0,shard-id={C} myself,master - 0 0 5 connected {FIRST_SLOTS}
{SECOND} master,fail - 1700000000000 1700000000001 4 connected 100-199
{C} 10.0.0.3:7002@17002,,tls-port=0,shard-id={C} slave {A} 0 1700000000002 5 connected
vars currentEpoch 9 lastVoteEpoch 7
"""


def _view() -> View:
    return View("e" * 40, random.Random(1), Settings(), 1000)


def test_a_file_of_redis_7_2_is_read_whole() -> None:
    view = _view()
    nodes_file.load(view, OF_REDIS_7_2, 1000)
    first, second, replica = (view.nodes[each] for each in (A, B, C))
    assert view.me is first
    assert (view.epoch, view.voted_epoch) == (9, 7)
    assert (first.host, first.port, first.bus_port, first.hostname) == ("10.0.0.1", 7000, 17000, "host-a")
    assert first.slots == slots.of_range(0, 99) | 1 << 200
    assert view.owners[150] is second
    assert view.migrating == {3: second}
    assert view.importing == {9: second}
    assert second.is_failed
    assert second.human_name == "second"
    assert replica.primary is first
    assert replica.shard_id == first.shard_id == C


def test_what_is_written_is_read_again() -> None:
    view, again = _view(), _view()
    nodes_file.load(view, OF_REDIS_7_2, 1000)
    nodes_file.load(again, nodes_file.text_of(view), 1000)
    assert nodes_file.text_of(again) == nodes_file.text_of(view)
    assert again.nodes[B].shard_id == D
    assert again.nodes[B].human_name == "second"


def test_a_node_in_handshake_is_not_written() -> None:
    view = _view()
    view.add(Node(A, flags.HANDSHAKE, 0, "10.0.0.9", 1, bus_port=2))
    assert "10.0.0.9" not in nodes_file.text_of(view)


@pytest.mark.parametrize(
    "broken",
    [
        OF_REDIS_7_2.replace("myself,", ""),
        OF_REDIS_7_2.replace(" 0-99 ", " 0-99999 "),
        OF_REDIS_7_2.replace("master,fail", "boss"),
        OF_REDIS_7_2.replace("a" * 40, "a" * 39),
        OF_REDIS_7_2.replace("vars currentEpoch 9", "vars currentEpoch"),
        "three words only\n",
    ],
)
def test_a_broken_file_is_refused(broken: str) -> None:
    with pytest.raises(NodesFileError):
        nodes_file.load(_view(), broken, 1000)


def _with_lines() -> str:
    view = _view()
    nodes_file.load(view, OF_REDIS_7_2, 1000)
    text = nodes_file.text_of(view)
    second = view.nodes[B]
    view.open_slot(view.migrating, 3, None)
    view.open_slot(view.migrating, 4, second)
    view.give_slot(150, view.me)
    return text + "".join(nodes_file.slot_lines(view, 1 << slot) for slot in (3, 4, 150))


def test_a_line_behind_the_text_says_whose_a_slot_is_and_where_it_goes() -> None:
    view = _view()
    nodes_file.load(view, _with_lines(), 1000)
    assert view.migrating == {4: view.nodes[B]}
    assert view.importing == {9: view.nodes[B]}
    assert view.owners[150] is view.me


def test_slots_that_stand_alike_are_one_line() -> None:
    view, again = _view(), _view()
    nodes_file.load(view, OF_REDIS_7_2, 1000)
    text, ordered = nodes_file.text_of(view), slots.of_range(0, 9) | slots.of_range(120, 129)
    view.give_slots(ordered, None)
    view.migrating.clear()
    lines = nodes_file.slot_lines(view, ordered)
    assert lines == f"vars slot:0-8,120-129 -/-/-\nvars slot:9 -/-/{B}\n"
    nodes_file.load(again, text + lines, 1000)
    assert again.me.slots == view.me.slots and again.nodes[B].slots == view.nodes[B].slots
    assert (again.migrating, list(again.importing)) == ({}, [9])


@pytest.mark.parametrize("cut", [1, 30, 50, 56, 58, 59])
def test_a_line_that_was_torn_counts_for_nothing(cut: int) -> None:
    view, whole = _view(), _with_lines()
    nodes_file.load(view, whole[:-cut] + "\0" * 7, 1000)
    assert view.migrating == {4: view.nodes[B]}
    assert view.owners[150] is view.nodes[B]


@pytest.mark.parametrize("cut", [0, 1, 9, 21, 27])
def test_a_claim_behind_the_text_stands_as_a_whole_or_not_at_all(cut: int) -> None:
    view, again = _view(), _view()
    nodes_file.load(view, OF_REDIS_7_2, 1000)
    view.receiving = claimed = slots.of_range(110, 120) | 1 << 199
    text = nodes_file.text_of(view)
    view.give_slots(claimed, view.me)
    view.me.config_epoch = 12
    whole = text + nodes_file.claim_line(view, claimed)
    assert whole.endswith("vars claim:12 110-120,199\n")
    nodes_file.load(again, whole[: len(whole) - cut], 1000)
    is_there = cut == 0
    assert again.me.config_epoch == (12 if is_there else 5)
    assert again.epoch == (12 if is_there else 9)
    assert again.receiving == (0 if is_there else claimed)
    assert bool(again.me.slots & claimed) == is_there


def test_a_power_loss_leaves_one_whole_file_or_the_other() -> None:
    seen = set()
    for seed in range(60):
        with World(seed) as world:
            disk = world.host("a").disk
            store = NodesStore(disk, "nodes.conf", 1)
            store.open()
            store.write("promised\n", synced=True)
            store.write("promised, and more\n", synced=False)
            world.power_loss("a")
            seen.add(disk.open("nodes.conf", "rb").read())
    assert seen == {b"promised\n", b"promised, and more\n"}


def test_what_was_added_durably_survives_a_power_loss() -> None:
    for seed in range(20):
        with World(seed) as world:
            disk = world.host("a").disk
            store = NodesStore(disk, "nodes.conf", 1)
            store.open()
            assert not store.is_named
            store.write("one\n", synced=True)
            assert store.is_named
            assert world.run(store.add_later("two\n"))
            world.power_loss("a")
            assert disk.open("nodes.conf", "rb").read() == b"one\ntwo\n"


def test_nothing_is_added_behind_half_a_line_before_the_file_was_replaced() -> None:
    with World(1) as world:
        disk = world.host("a").disk
        store = NodesStore(disk, "nodes.conf", 1)
        store.open()
        store.write("one\n", synced=True)
        world.fill_disk("a", free_bytes=2)
        for _ in range(2):
            with pytest.raises(OSError):
                store.add("two\n")
            world.fill_disk("a", free_bytes=None)
        assert disk.open("nodes.conf", "rb").read() == b"one\ntw"
        store.write("three\n", synced=False)
        store.add("four\n")
        assert disk.open("nodes.conf", "rb").read() == b"three\nfour\n"


def test_a_file_that_was_replaced_has_no_lines_behind_it(tmp_path: Path) -> None:
    store = NodesStore(Machine().disk, str(tmp_path / "nodes.conf"), 1)
    store.open()
    store.write("one\n", synced=True)
    store.add("two\n")
    store.add("three\n")
    assert (tmp_path / "nodes.conf").read_text() == "one\ntwo\nthree\n"
    assert store.added_bytes == 10
    store.write("four\n", synced=False)
    assert (tmp_path / "nodes.conf").read_text() == "four\n"
    assert store.added_bytes == 0
    store.close()


def test_the_file_of_a_running_node_is_locked_after_it_was_replaced_too(tmp_path: Path) -> None:
    disk = Machine().disk
    path = str(tmp_path / "nodes.conf")
    first, second = NodesStore(disk, path, 1), NodesStore(disk, path, 2)
    assert first.open() == ""
    first.write("one\n", synced=True)
    with pytest.raises(NodesFileLocked):
        second.open()
    first.close()
    assert second.open() == "one\n"
    second.close()


@pytest.mark.parametrize(("writer", "reader"), [(STOCK, OURS), (OURS, STOCK)])
def test_each_kind_goes_on_with_the_file_of_the_other(writer: str, reader: str, tmp_path: Path) -> None:
    require_peer("redis-server")
    cluster = Cluster(tmp_path, [STOCK, OURS, writer], [OURS])
    try:
        cluster.join()
        node: ClusterNode = cluster.primaries[2]
        before, own_id = node.table(), node.id
        node.client.shutdown(nosave=True)
        node.process.wait()
        node.kind = reader
        node.start()
        until(node.client.ping, "it answers again")
        after = node.table()
        assert node.id == own_id
        assert {port: (row[0], row[3]) for port, row in after.items()} == {
            port: (row[0], row[3]) for port, row in before.items()
        }
        assert node.table()[cluster.primaries[1].port][8] == before[cluster.primaries[1].port][8]
        until(lambda: node.state() == "ok", "it is part of the cluster again")
    finally:
        cluster.close()
