"""Tests of how a primary's stream is applied: whatever the pieces, whole units and nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.engine.state import Session
from holdfast.replication.applier import Applier
from holdfast.replication.backlog import Backlog
from holdfast.replication.feed import StreamFeed
from holdfast.server.traffic import Traffic
from tests.lone_engine import LoneEngine
from tests.wire import encode

S_PRIMARY, GUARD_PRIMARY = 1 << 8, 1 << 19
RECORD = b"holdfast-set:" + b"x" * 20


class Following:
    """A replica's applier on an engine of its own, and what it told."""

    def __init__(self, is_bound: bool = False) -> None:
        self.data = LoneEngine()
        self.data.engine.stream_on, self.data.engine.tick_open = False, True
        self.traffic = Traffic()
        clock = SimpleNamespace(boot_us=lambda: 5_000_000)
        node: Any = SimpleNamespace(
            engine=self.data.engine, traffic=self.traffic, host=SimpleNamespace(clock=clock)
        )
        self.stream: Any = StreamFeed(node)
        self.stream.is_forwarding, self.stream.backlog = True, Backlog(1 << 20)
        self.records: list[bytes] = []
        self.broken = ""
        self.times_applied = 0
        self.applier = Applier(node, self.stream, self)
        session = Session(self.data.engine, None)
        session.flags |= S_PRIMARY
        session.guard |= GUARD_PRIMARY
        self.applier.begin(session, is_bound)

    def stream_is_broken(self, error: str) -> None:
        self.broken = error
        self.applier.end()

    def record_in_stream(self, text: bytes) -> None:
        self.records.append(text)

    def applied(self) -> None:
        self.times_applied += 1

    @property
    def forwarded(self) -> bytes:
        """What its own replicas would be sent."""
        return b"".join(self.stream.backlog.read_all(1))


def command(*words: str | bytes) -> bytes:
    """Return a command in RESP."""
    return encode([word.encode() if isinstance(word, str) else word for word in words])


UNITS = st.one_of(
    st.builds(lambda n, text: command("SET", f"k{n}", text), st.integers(0, 9), st.binary(max_size=90)),
    st.builds(lambda n: command("SELECT", str(n)), st.integers(0, 3)),
    st.builds(lambda n: command("INCR", f"n{n}"), st.integers(0, 3)),
    st.lists(st.integers(0, 3), min_size=1, max_size=4).map(
        lambda several: (
            command("MULTI") + b"".join(command("INCR", f"n{n}") for n in several) + command("EXEC")
        )
    ),
    st.just(b"\n"),
    st.just(command("PING", RECORD)),
)


@given(st.lists(UNITS, max_size=12), st.data())
def test_any_cut_of_the_stream_gives_the_same_copy_and_forwards_whole_units(
    units: list[bytes], data: st.DataObject
) -> None:
    whole, stream = Following(), b"".join(units)
    whole.applier.receive(stream)
    cut, at = Following(), 0
    while at < len(stream):
        end = data.draw(st.integers(at + 1, min(at + 60, len(stream))))
        cut.applier.heard(end - at)
        cut.applier.receive(stream[at:end])
        at = end
        assert stream.startswith(cut.forwarded)
        assert len(cut.forwarded) == cut.stream.offset == at - cut.applier.rest_bytes - len(cut.applier.unit)
    assert whole.forwarded == cut.forwarded == stream
    assert whole.records == cut.records == [RECORD] * units.count(command("PING", RECORD))
    assert whole.applier.database == cut.applier.database
    assert cut.traffic.replication_input_bytes == len(stream)
    for key in [f"k{n}" for n in range(10)] + [f"n{n}" for n in range(4)]:
        for database in range(4):
            assert {each.data.run("SELECT", database) for each in (whole, cut)} == {b"+OK\r\n"}
            assert whole.data.run("GET", key) == cut.data.run("GET", key)


def test_a_unit_that_is_cut_off_is_forgotten_with_the_link() -> None:
    replica = Following()
    replica.applier.receive(
        command("SET", "a", "1") + command("MULTI") + command("SET", "b", "2") + b"*1\r\n"
    )
    assert replica.forwarded == command("SET", "a", "1")
    assert replica.applier.unit == command("MULTI") + command("SET", "b", "2")
    replica.applier.end()
    assert (replica.applier.rest_bytes, replica.applier.unit, replica.applier.session) == (0, b"", None)
    replica.applier.receive(command("SET", "c", "3"))
    assert replica.forwarded == command("SET", "a", "1")
    assert replica.data.run("EXISTS", "b", "c") == b":0\r\n"


@pytest.mark.parametrize("size", [70_000, 3_000_000])
def test_a_value_that_comes_in_many_pieces_is_applied_when_it_is_whole(size: int) -> None:
    replica, stream = Following(), command("SET", "big", b"v" * size) + command("INCR", "after")
    for at in range(0, len(stream), 16_384):
        replica.applier.receive(stream[at : at + 16_384])
    assert replica.data.run("STRLEN", "big") == b":%d\r\n" % size
    assert replica.data.run("GET", "after") == b"$1\r\n1\r\n"
    assert replica.forwarded == stream


def test_what_is_no_stream_is_told_and_nothing_of_it_waits() -> None:
    replica = Following()
    replica.applier.receive(command("SET", "a", "1") + b"*2\r\nGET\r\n")
    assert "not a request" in replica.broken
    assert replica.applier.rest_bytes == 0


def test_a_member_acknowledges_at_once_and_whoever_waits_for_a_place_is_told() -> None:
    member, other = Following(is_bound=True), Following()
    other.applier.is_awaited = True
    for each in (member, other):
        each.applier.receive(command("MULTI") + command("SET", "a", "1"))
        assert not each.applier.acknowledges
        assert not each.times_applied
        each.applier.receive(command("EXEC"))
    assert member.applier.acknowledges
    assert not other.applier.acknowledges
    assert (member.times_applied, other.times_applied) == (0, 1)
    assert member.applier.heard_at_ms is None
    member.applier.heard(3)
    assert member.applier.heard_at_ms == 5000
