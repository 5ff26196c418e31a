"""The bytes of the bus: back and forth, in pieces, and when they are garbage."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.cluster import messages
from holdfast.cluster.codec import HEADER_BYTES, BrokenBus, Reader, encode
from holdfast.cluster.messages import Extensions, Gossip, Message
from tests.cluster.processes import StockNode

IDS = st.text("0123456789abcdef", min_size=40, max_size=40)
HOSTS = st.sampled_from(["", "127.0.0.1", "10.1.2.3", "::1", "fd00::1:2"])
PORTS = st.integers(0, 65535)
SLOTS = st.sets(st.integers(0, 16383), max_size=20).map(lambda slots: sum(1 << each for each in slots))
NAMES = st.text("abcxyz.-019", max_size=40)
GOSSIP = st.builds(
    Gossip, IDS, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), HOSTS, PORTS, PORTS, PORTS, PORTS
)
EXTENSIONS = st.builds(
    Extensions,
    NAMES,
    NAMES,
    st.none() | IDS,
    st.lists(st.tuples(IDS, st.integers(1, 3600)), max_size=3).map(tuple),
)


@st.composite
def any_message(draw: st.DrawFn) -> Message:
    """Return a message of any type that we send, with a body of its type."""
    kind = draw(st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 10]))
    flags = draw(st.integers(0, 7))
    body: dict[str, object] = {}
    if kind <= messages.MEET:
        flags |= messages.HAS_EXTENSIONS
        body = {
            "gossip": tuple(draw(st.lists(GOSSIP, max_size=4))),
            "extensions": draw(EXTENSIONS),
        }
    elif kind == messages.FAIL:
        body = {"about": draw(IDS)}
    elif kind == messages.UPDATE:
        body = {
            "about": draw(IDS),
            "about_epoch": draw(st.integers(0, 2**64 - 1)),
            "about_slots": draw(SLOTS),
        }
    elif kind in (messages.PUBLISH, messages.PUBLISHSHARD):
        body = {"channel": draw(st.binary(max_size=30)), "text": draw(st.binary(max_size=300))}
    return Message(
        kind,
        draw(IDS),
        draw(st.integers(0, 2**64 - 1)),
        draw(st.integers(0, 2**64 - 1)),
        draw(st.integers(-1, 2**63 - 1)),
        draw(SLOTS),
        draw(st.just("") | IDS),
        draw(HOSTS),
        draw(PORTS),
        draw(PORTS),
        draw(PORTS),
        draw(PORTS),
        draw(st.booleans()),
        flags,
        draw(st.booleans()),
        **body,  # type: ignore[arg-type]
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(any_message(), min_size=1, max_size=3), st.integers(1, 5000))
def test_what_is_encoded_is_read_again_however_it_is_cut(sent: list[Message], piece: int) -> None:
    raw = b"".join(map(encode, sent))
    reader = Reader()
    found = [each for at in range(0, len(raw), piece) for each in reader.feed(raw[at : at + piece])]
    assert found == sent
    assert reader.waiting_bytes == 0
    assert reader.passed_over == 0


@settings(max_examples=150, deadline=None)
@given(any_message(), st.data())
def test_damaged_messages_are_passed_over_or_end_the_connection_and_nothing_else(
    message: Message, data: st.DataObject
) -> None:
    raw = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    reader = Reader()
    try:
        for each in reader.feed(bytes(raw) + encode(message)):
            assert len(each.sender) == 40
            assert set(each.sender) <= set("0123456789abcdef")
            assert all(row.host.isprintable() and " " not in row.host for row in each.gossip)
    except BrokenBus:
        pass


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=4000))
def test_garbage_is_no_message(garbage: bytes) -> None:
    reader = Reader()
    try:
        assert reader.feed(garbage) == []
    except BrokenBus:
        pass


def test_a_length_that_no_such_message_has_is_not_waited_for() -> None:
    fail = bytearray(encode(_plain(messages.FAIL, about="b" * 40)))
    fail[4:8] = (2**31).to_bytes(4, "big")
    with pytest.raises(BrokenBus, match="too long"):
        Reader().feed(bytes(fail))
    ping = bytearray(encode(_plain(messages.PING)))
    ping[4:8] = (16).to_bytes(4, "big")
    with pytest.raises(BrokenBus, match="too short"):
        Reader().feed(bytes(ping))


def test_unknown_types_and_versions_are_passed_over() -> None:
    reader = Reader()
    for at, value in ((12, 77), (8, 2)):
        raw = bytearray(encode(_plain(messages.PING)))
        raw[at : at + 2] = value.to_bytes(2, "big")
        assert reader.feed(bytes(raw)) == []
    assert reader.passed_over == 2
    assert len(reader.feed(encode(_plain(messages.PONG)))) == 1


def test_text_that_could_break_a_line_of_nodes_conf_does_not_come_in() -> None:
    evil = Extensions(hostname="a b\nvars", human_name='x"y')
    message = _plain(messages.PING, extensions=evil, message_flags=messages.HAS_EXTENSIONS)
    (read,) = Reader().feed(encode(message))
    assert read.extensions == messages.NO_EXTENSIONS


async def test_redis_server_reads_our_meet_and_its_pong_is_encoded_to_the_same_bytes(
    stock_node: StockNode,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", stock_node.port + 10_000)
    meet = _plain(messages.MEET, message_flags=messages.HAS_EXTENSIONS, port=1, bus_port=2)
    writer.write(encode(meet))
    raw = await reader.readexactly(HEADER_BYTES)
    rest = int.from_bytes(raw[4:8], "big") - len(raw)
    raw += await reader.readexactly(rest)
    (pong,) = Reader().feed(raw)
    assert pong.type == messages.PONG
    assert (pong.port, pong.bus_port) == (stock_node.port, stock_node.port + 10_000)
    assert not pong.is_ours
    assert encode(pong) == raw
    writer.close()


def _plain(kind: int, **more: object) -> Message:
    fields: dict[str, object] = {
        "sender": "a" * 40,
        "epoch": 1,
        "config_epoch": 1,
        "offset": 0,
        "slots": 0,
        "primary_id": "",
        "host": "",
        "port": 7000,
        "tls_port": 0,
        "bus_port": 17000,
        "flags": 1,
        "is_ok": True,
    }
    return Message(kind, **(fields | more))  # type: ignore[arg-type]
