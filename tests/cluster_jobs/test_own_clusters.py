"""Slots that travel as a whole between our nodes: what clients see, and what is left when somebody dies."""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
import redis
from redis.crc import key_slot

from holdfast.cluster.jobs.balance import Move
from holdfast.cluster.jobs.contact import Contact
from holdfast.cluster.jobs.mover import Mover, Outcome, Settings
from holdfast.cluster.jobs.remote import Access
from tests.cluster_jobs.stage import Stage, holdfast, own_cluster, stock_cluster, until
from tests.cluster_jobs.test_stock_clusters import AOF, KEYS, Traffic, assert_whole, filled, slow_move


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with own_cluster(3, 0, *AOF) as made:
        yield filled(made)


def move(stage: Stage, source: int, target: int, slots: int) -> None:
    code, report = holdfast(
        "reshard", stage.addresses[2], "--from", stage.id(source), "--to", stage.id(target),
        "--slots", str(slots), "--yes",
    )  # fmt: skip
    assert code == 0, report
    assert report["outcome"]["slots"] == slots


def test_slots_travel_as_a_whole_and_clients_do_not_notice(stage: Stage) -> None:
    before = stage.slots(1)
    with Traffic(stage):
        move(stage, 0, 1, 1200)
        move(stage, 1, 0, 1200)
        move(stage, 0, 1, 700)
    assert stage.slots(1) == before + 700
    assert "slots taken from" in stage.peers[1].log()
    assert_whole(stage)


def test_types_expiry_and_emptied_keys_arrive_as_they_are(stage: Stage) -> None:
    client = stage.cluster_client()
    client.hset("{a}hash", mapping={"f": 1, "g": "2"})
    client.zadd("{a}zset", {"m": 1.5, "n": -2})
    client.sadd("{a}set", *range(300))
    client.set("{a}soon", "x", px=60_000)
    names = [f"{{a}}{name}" for name in ("hash", "zset", "set", "soon")]
    before = {name: client.dump(name) for name in names}
    expires = client.pexpiretime("{a}soon")
    slot = stage.client(0).cluster("keyslot", "{a}")
    owner = next(number for number in range(3) if stage.client(number).cluster("countkeysinslot", slot))
    other = (owner + 1) % 3
    moved = f"{slot}={stage.id(other)}"
    assert holdfast("reshard", stage.addresses[0], "--move", moved, "--yes")[0] == 0
    assert stage.client(owner).cluster("countkeysinslot", slot) == 0
    assert {name: client.dump(name) for name in names} == before
    assert client.pexpiretime("{a}soon") == expires
    client.delete(*names)
    assert holdfast("rebalance", stage.addresses[0], "--yes")[0] == 0
    client.close()


@pytest.mark.parametrize("victim", [0, 1], ids=["source", "target"])
def test_a_node_that_dies_in_the_middle_and_returns_is_waited_for(stage: Stage, victim: int) -> None:
    before = stage.slots(1)
    process = slow_move(stage, 0, 1, 600, rate=150, wait_for_marks=False)
    until(lambda: stage.slots(1) > before, "the first slots have moved")
    stage.peers[victim].kill()
    stage.restart(victim)
    text = process.communicate(timeout=60)[0]
    assert process.returncode == 0, text
    until(lambda: serves(stage), "all are there")
    assert_whole(stage)
    move(stage, 1, 0, 600)


def test_a_tool_that_is_killed_leaves_nothing_half_done(stage: Stage) -> None:
    process = slow_move(stage, 0, 1, 600, rate=150, wait_for_marks=False)
    before = stage.slots(1)
    until(lambda: stage.slots(1) > before, "slots are moving")
    process.kill()
    process.communicate()
    until(lambda: holdfast("status", stage.addresses[0])[0] == 0, "what was on its way has arrived")
    assert_whole(stage)
    assert holdfast("rebalance", stage.addresses[0], "--yes")[0] == 0


def finished(stage: Stage, slot: int, source: int, target: int) -> Outcome:
    """Return how a job ends that has moved a slot already, and takes its last look."""

    async def job() -> Outcome:
        contact = await Contact.open([("127.0.0.1", stage.peers[2].port)], Access())
        try:
            mover = Mover(contact, Settings(as_a_whole=False))
            return await mover.run([Move(stage.id(source), stage.id(target), (slot,))])
        finally:
            await contact.close()

    return asyncio.run(job())


@pytest.mark.parametrize(
    ("source", "moves_on", "kept_by"),
    [(1, False, None), (2, False, 0), (1, True, 1)],
    ids=["of its source", "of another node", "a new move"],
)
def test_the_last_look_of_a_job_deletes_copies_of_its_source_and_no_others(
    stage: Stage, source: int, moves_on: bool, kept_by: int | None
) -> None:
    until(lambda: serves(stage), "all are there")
    slot, owner, other = own_slots(stage, 0)[-1], stage.client(0), stage.client(1)
    names = map("look:{}".format, itertools.count())
    key = next(name for name in names if key_slot(name.encode()) == slot)
    other.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", stage.id(0))
    if moves_on:
        owner.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", stage.id(1))
    with redis.Redis(port=stage.peers[1].port, single_connection_client=True) as asking:
        asking.execute_command("ASKING")
        asking.set(key, "a client was sent here")
    assert finished(stage, slot, source, 0).is_complete
    held = [each for each in (0, 1) if key in stage.client(each).cluster("getkeysinslot", slot, 1000)]
    assert held == ([] if kept_by is None else [kept_by])
    assert stage.marks() == 2 * int(moves_on)
    if moves_on:
        assert holdfast("fix", stage.addresses[2], "--yes")[0] == 0
    if kept_by is not None:
        assert stage.client(kept_by).get(key) == "a client was sent here"
        stage.client(kept_by).delete(key)


# ---- the target, spoken to as a source speaks ----


def own_slots(stage: Stage, number: int) -> range:
    """Return the longest run of slots that a node serves."""
    nodes = stage.client(number).execute_command("CLUSTER NODES")
    own = next(each for each in nodes.values() if "myself" in each["flags"])
    return max((range(int(ends[0]), int(ends[-1]) + 1) for ends in own["slots"]), key=len)


def serves(stage: Stage) -> bool:
    """Return whether every node says that the cluster is up, and holds nobody for dead."""
    for number in range(len(stage.peers)):
        nodes = stage.client(number).execute_command("CLUSTER NODES").values()
        if stage.client(number).cluster("info")["cluster_state"] != "ok" or any(
            "fail" in each["flags"] for each in nodes
        ):
            return False
    return True


class Parcel:
    """A slot that node 0 owns, on its way to node 1, sent by the test."""

    def __init__(self, stage: Stage) -> None:
        until(lambda: serves(stage), "all are there")
        self.slot = own_slots(stage, 0)[-1]
        self.stage, self.source = stage, stage.id(0)
        names = map("parcel:{}".format, itertools.count())
        self.key = next(name for name in names if key_slot(name.encode()) == self.slot)
        self.wire = redis.Redis(port=stage.peers[1].port, single_connection_client=True)
        first = redis.Redis(port=stage.peers[0].port)
        first.set(self.key, "value")
        payload = first.dump(self.key)
        self.take("BEGIN", "token", self.source, self.slot)
        self.take("KEYS", "token", self.key, -1, payload)

    def take(self, *words: object) -> object:
        return self.wire.execute_command("CLUSTER TAKE", *words)

    def taken(self) -> object:
        question = ("token", self.source, self.stage.id(1), self.slot)
        return self.stage.client(1).execute_command("CLUSTER TAKEN", *question)

    def copies(self) -> int:
        return int(self.stage.client(1).cluster("countkeysinslot", self.slot))

    def __enter__(self) -> Parcel:
        return self

    def __exit__(self, *unused: object) -> None:
        self.wire.close()
        until(lambda: serves(self.stage), "all are there")
        until(lambda: not self.copies(), "copies are thrown away")
        self.stage.client(0).delete(self.key)


def test_copies_go_when_the_source_hangs_up(stage: Stage) -> None:
    with Parcel(stage) as parcel:
        assert parcel.copies() == 0, "they are held aside"
        parcel.take("STORE", "token")
        assert parcel.copies() == 1
        with pytest.raises(redis.exceptions.MovedError):
            stage.client(1).get(parcel.key)


def test_copies_go_when_the_target_is_killed_and_returns(stage: Stage) -> None:
    with Parcel(stage) as parcel:
        parcel.take("STORE", "token")
        stage.peers[1].kill()
        stage.restart(1)
        assert parcel.copies() == 0 and stage.marks() == 0
    until(lambda: serves(stage), "all are there")
    assert_whole(stage)


def test_a_claim_that_comes_after_the_question_is_refused(stage: Stage) -> None:
    with Parcel(stage) as parcel:
        parcel.take("STORE", "token")
        assert str(parcel.taken()).startswith("DROPPED ")
        with pytest.raises(redis.ResponseError, match="No such parcel"):
            parcel.take("CLAIM", "token")
        assert str(parcel.taken()).startswith("UNKNOWN ")


def test_a_slot_that_is_being_sent_cannot_be_opened(stage: Stage) -> None:
    with Parcel(stage) as parcel:
        with pytest.raises(redis.ResponseError, match="on their way"):
            stage.client(1).execute_command("CLUSTER SETSLOT", parcel.slot, "IMPORTING", parcel.source)


# ---- the source, cut off from the target at the worst moment ----


class Relay:
    """Stands between source and target, and cuts the connection at the claim: before it, or its reply."""

    def __init__(self, port: int, lets_claim_through: bool) -> None:
        self.port, self.lets_claim_through, self.cuts = port, lets_claim_through, 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.own_port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client = self._server.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            cut = threading.Event()
            threading.Thread(target=self._forth, args=(client, server, cut), daemon=True).start()
            threading.Thread(target=self._back, args=(client, server, cut), daemon=True).start()

    def _forth(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        while piece := _received(client):
            if b"CLAIM" in piece and not self.cuts:
                self.cuts += 1
                cut.set()
                if not self.lets_claim_through:
                    client.shutdown(socket.SHUT_RDWR)
                    break
            server.sendall(piece)
        server.close()

    def _back(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        while piece := _received(server):
            if cut.is_set():
                client.shutdown(socket.SHUT_RDWR)
                break
            client.sendall(piece)
        client.close()

    def close(self) -> None:
        self._server.close()


class Garbler(Relay):
    """Answers one step itself, with words that no node says, and cuts nothing."""

    def __init__(self, port: int, step: bytes) -> None:
        self.step = step
        super().__init__(port, lets_claim_through=True)

    def _forth(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        while piece := _received(client):
            if self.step in piece:
                self.cuts += 1
                client.sendall(b"+as you like it\r\n" if self.step == b"STORE" else b"x" * 100_000)
            else:
                server.sendall(piece)
        server.close()


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(65536)
    except OSError:
        return b""


@pytest.mark.parametrize("lets_claim_through", [False, True], ids=["claim", "reply"])
def test_a_claim_of_which_nobody_heard_is_asked_about(stage: Stage, lets_claim_through: bool) -> None:
    until(lambda: serves(stage), "all are there")
    relay = Relay(stage.peers[1].port, lets_claim_through)
    target, source = stage.client(1), stage.client(0)
    target.config_set("cluster-announce-port", relay.own_port)
    try:
        until(
            lambda: stage.addresses[1] not in source.execute_command("CLUSTER NODES"), "the new port is known"
        )
        before = stage.slots(0)
        last = own_slots(stage, 0)[-1]
        slots = range(last - 20, last + 1)
        reply: object
        try:
            reply = source.execute_command("CLUSTER GIVE", stage.id(1), *slots)
        except redis.ResponseError as error:
            reply = str(error)
        assert relay.cuts == 1, reply
        if lets_claim_through:
            assert isinstance(reply, int), reply
            assert stage.slots(0) == before - 21
        else:
            assert "did not take" in str(reply)
            assert stage.slots(0) == before
    finally:
        relay.close()
        target.config_set("cluster-announce-port", 0)
        until(lambda: stage.addresses[1] in source.execute_command("CLUSTER NODES"), "the old port is known")
    assert_whole(stage)


@pytest.mark.parametrize("step", [b"STORE", b"CLAIM"])
def test_a_target_that_answers_nonsense_costs_nothing(stage: Stage, step: bytes) -> None:
    until(lambda: serves(stage), "all are there")
    relay = Garbler(stage.peers[1].port, step)
    target, source = stage.client(1), redis.Redis(port=stage.peers[0].port, socket_timeout=20)
    slot = own_slots(stage, 0)[-1]
    key = next(
        name for name in map("nonsense:{}".format, itertools.count()) if key_slot(name.encode()) == slot
    )
    target.config_set("cluster-announce-port", relay.own_port)
    try:
        shown = stage.client(0)
        until(
            lambda: stage.addresses[1] not in shown.execute_command("CLUSTER NODES"), "the new port is known"
        )
        for turn in (1, 2):
            with pytest.raises(redis.ResponseError, match="not given"):
                source.execute_command("CLUSTER GIVE", stage.id(1), slot)
            assert relay.cuts == turn
            assert source.set(key, turn)
        source.delete(key)
    finally:
        relay.close()
        target.config_set("cluster-announce-port", 0)
        until(lambda: stage.addresses[1] in shown.execute_command("CLUSTER NODES"), "the old port is known")
    assert_whole(stage)


def test_a_target_that_hangs_costs_nothing(stage: Stage) -> None:
    before = stage.slots(1)
    process = slow_move(stage, 0, 1, 600, rate=150, wait_for_marks=False)
    until(lambda: stage.slots(1) > before, "the first slots have moved")
    stage.peers[1].process.send_signal(signal.SIGSTOP)
    stage.peers[1].process.send_signal(signal.SIGCONT)
    text = process.communicate(timeout=60)[0]
    assert process.returncode == 0, text
    assert_whole(stage)


def test_a_node_that_was_added_serves_as_soon_as_the_tool_is_done() -> None:
    with own_cluster(3) as stage:
        stage.start()
        code, report = holdfast("add", stage.addresses[0], stage.addresses[3], "--yes")
        assert code == 0, report
        assert stage.client(3).cluster("INFO")["cluster_state"] == "ok"


def test_what_was_taken_survives_the_death_of_the_taker() -> None:
    with own_cluster(3, 1, "--min-replicas-to-ack", "1") as stage:
        until(lambda: serves(stage), "all are there")
        roles = [stage.client(number).info("replication") for number in range(6)]
        leads = [number for number, each in enumerate(roles) if each["role"] == "master"]
        source, target = leads[0], leads[1]
        filled(stage)
        number = next(each for each in range(6) if each not in leads)
        code, report = holdfast(
            "reshard", stage.addresses[number], "--from", stage.id(source), "--to", stage.id(target),
            "--slots", "1200", "--yes",
        )  # fmt: skip
        assert code == 0, report
        stage.peers[target].kill()
        stage.peers.pop(target).stop()
        until(lambda: sum(map(stage.slots, range(5))) == 16384, "its heir leads")
        until(
            lambda: all(stage.client(each).cluster("info")["cluster_state"] == "ok" for each in range(5)), "…"
        )
        held = stage.keys()
        assert {f"key:{number}" for number in range(KEYS)} <= set(held)
        assert set(held.values()) == {1}


def test_a_slot_that_travels_as_a_whole_keeps_to_the_rate_limit() -> None:
    with own_cluster(3) as stage:
        client = stage.client(0)
        slot = own_slots(stage, 0)[-1]
        tag = next(f"{{{number}}}" for number in itertools.count() if key_slot(b"%d" % number) == slot)
        client.mset({f"{tag}{number}": number for number in range(1000)})
        began = time.monotonic()
        code, report = holdfast(
            *("reshard", stage.addresses[0], "--move", f"{slot}={stage.id(1)}", "--rate", "400", "--yes")
        )
        assert code == 0, report
        assert time.monotonic() - began > 2.0
        assert client.execute_command("CLUSTER COUNTKEYSINSLOT", slot) == 0


@pytest.mark.parametrize("cluster", [own_cluster, stock_cluster], ids=["our own", "stock"])
def test_fix_gives_the_whole_share_of_a_dead_node_to_the_others_in_a_few_ranges(
    cluster: Callable[[int], AbstractContextManager[Stage]],
) -> None:
    with cluster(3) as stage:
        stage.peers[1].kill()
        until(
            lambda: all(stage.client(each).cluster("info")["cluster_state"] == "fail" for each in (0, 2)),
            "it is held for dead",
        )
        code, report = holdfast("fix", stage.addresses[0], "--accept-data-loss")
        assert code == 0, report
        for each in (0, 2):
            client = stage.client(each)
            until(lambda client=client: client.cluster("info")["cluster_state"] == "ok", "it serves again")
            assert len(client.execute_command("CLUSTER SLOTS")) <= 4
        assert abs(stage.slots(0) - stage.slots(2)) <= 1
        assert stage.slots(0) + stage.slots(2) == 16384
