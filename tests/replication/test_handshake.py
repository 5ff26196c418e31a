"""Tests of the replica's handshake: every transition, and the illegal ones refused."""

from __future__ import annotations

import pytest

from holdfast.replication import handshake
from holdfast.replication.handshake import (
    Attached,
    BeginSnapshot,
    BeginStream,
    Event,
    Failed,
    Handshake,
    IllegalEvent,
    Note,
    Output,
    PsyncAnswered,
    Send,
    Settings,
    State,
    read_payload_header,
)
from holdfast.replication.history import History

A = "a" * 40
FULL = Settings(6380, "7.2.0", "10.0.0.9", "bob", "secret", (b"HOLDFAST", b"ATTACH"), History(A, 9))
PLAIN = Settings(6380, "7.2.0")


def at(state: State, settings: Settings = FULL) -> Handshake:
    machine = Handshake(settings)
    while machine.state is not state:
        lines = {State.PSYNC: f"+FULLRESYNC {A} 5", State.SYNC_HEADER: "$5"}
        if machine.state is State.CONNECTING:
            machine.handle(Event.CONNECTED)
        elif machine.state is State.SNAPSHOT:
            machine.handle(Event.SNAPSHOT_LOADED)
        else:
            machine.handle(Event.LINE, lines.get(machine.state, "+OK"))
    return machine


def sent(outputs: tuple[Output, ...]) -> list[bytes]:
    return [b" ".join(each.words) for each in outputs if isinstance(each, Send)]


def test_a_full_handshake_sends_every_step_in_order() -> None:
    machine = Handshake(FULL)
    commands = sent(machine.handle(Event.CONNECTED))
    while machine.state is not State.PSYNC:
        commands += sent(machine.handle(Event.LINE, "+OK"))
    assert commands == [
        b"PING", b"AUTH bob secret", b"REPLCONF listening-port 6380", b"REPLCONF ip-address 10.0.0.9",
        b"REPLCONF capa eof capa psync2", b"REPLCONF version 7.2.0",
        b"HOLDFAST ATTACH", b"PSYNC " + A.encode() + b" 10",
    ]  # fmt: skip


def test_a_plain_handshake_leaves_out_what_is_not_configured() -> None:
    machine = Handshake(PLAIN)
    commands = sent(machine.handle(Event.CONNECTED))
    while machine.state is not State.PSYNC:
        commands += sent(machine.handle(Event.LINE, "+OK"))
    assert [each.split()[0] for each in commands] == [
        b"PING",
        b"REPLCONF",
        b"REPLCONF",
        b"REPLCONF",
        b"PSYNC",
    ]
    assert commands[-1] == b"PSYNC ? -1"


@pytest.mark.parametrize(
    ("state", "line", "after"),
    [
        (State.PING, "-NOAUTH Authentication required.", State.AUTH),
        (State.PING, "-NOPERM no", State.AUTH),
        (State.PING, "-ERR operation not permitted", State.AUTH),
        (State.PING, "-MISCONF it cannot save", State.AUTH),
        (State.PING, "-LOADING wait", State.FAILED),
        (State.AUTH, "-WRONGPASS invalid", State.FAILED),
        (State.LISTENING_PORT, "-ERR unknown", State.IP_ADDRESS),
        (State.IP_ADDRESS, "-ERR unknown", State.CAPABILITIES),
        (State.CAPABILITIES, "-ERR unknown", State.VERSION),
        (State.VERSION, "-ERR Unrecognized REPLCONF option: version", State.ATTACH),
        (State.VERSION, ":1", State.FAILED),
        (State.ATTACH, "-ERR unknown command 'HOLDFAST'", State.PSYNC),
        (State.ATTACH, "-FENCED ATTACH refused", State.FAILED),
        (State.PSYNC, "", State.PSYNC),
        (State.PSYNC, "+CONTINUE", State.STREAMING),
        (State.PSYNC, f"+FULLRESYNC {A} 5", State.SYNC_HEADER),
        (State.PSYNC, "-ERR unknown command", State.SYNC_HEADER),
        (State.PSYNC, "-NOMASTERLINK no", State.FAILED),
        (State.PSYNC, "+FULLRESYNC x", State.FAILED),
        (State.SYNC_HEADER, "", State.SYNC_HEADER),
        (State.SYNC_HEADER, "$100", State.SNAPSHOT),
        (State.SYNC_HEADER, "-ERR no", State.FAILED),
    ],
)
def test_a_reply_moves_the_handshake_on_or_ends_it(state: State, line: str, after: State) -> None:
    machine = at(state)
    outputs = machine.handle(Event.LINE, line)
    assert machine.state is after
    assert any(isinstance(each, Failed) for each in outputs) is (after is State.FAILED)


def test_an_answer_to_attach_and_to_psync_is_handed_on() -> None:
    assert at(State.ATTACH).handle(Event.LINE, "+node 3 100")[0] == Attached("node 3 100")
    assert isinstance(at(State.ATTACH).handle(Event.LINE, "-ERR unknown")[0], Note)
    outputs = at(State.PSYNC).handle(Event.LINE, "+CONTINUE")
    assert isinstance(outputs[0], PsyncAnswered) and outputs[1] == BeginStream()
    assert at(State.SNAPSHOT).handle(Event.SNAPSHOT_LOADED) == (BeginStream(),)
    refused = at(State.PSYNC, Settings(1, "7", history=History(A, 1), is_failover=True))
    assert isinstance(refused.handle(Event.LINE, "-ERR no")[0], Failed)


def test_every_event_that_is_not_in_the_table_is_refused_by_name() -> None:
    legal = {(state, event) for state, event in handshake._TRANSITIONS}
    reachable = [state for state in State if state is not State.FAILED]
    for state in reachable:
        for event in Event:
            machine = at(state)
            if (state, event) not in legal:
                with pytest.raises(IllegalEvent, match=event.value):
                    machine.handle(event, "+OK")
    closed = at(State.SNAPSHOT)
    closed.handle(Event.CLOSED)
    with pytest.raises(IllegalEvent):
        closed.handle(Event.CLOSED)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("$123", BeginSnapshot(123, b"")),
        ("$EOF:" + "m" * 40, BeginSnapshot(None, b"m" * 40)),
        ("$EOF:short", None), ("$-1", None), ("$", None), ("", None), ("123", None), ("$" + "9" * 30, None),
    ],
)  # fmt: skip
def test_the_line_before_a_snapshot_gives_its_size_or_its_end_mark(
    line: str, expected: BeginSnapshot | None
) -> None:
    assert read_payload_header(line) == expected
