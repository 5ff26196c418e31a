"""What transactions, scripts and messages leave for AOF and replicas."""

from __future__ import annotations

import pytest

from holdfast.commands import declare_all
from holdfast.engine.effects import take_stream
from holdfast.engine.request import receive
from holdfast.engine.state import Engine, Session
from tests.wire import encode


@pytest.fixture
def session() -> Session:
    engine = Engine(16, 7, False)
    engine.set_time(1_700_000_000_000)
    declare_all(engine)
    engine.stream_on = True
    return Session(engine, None)


def left(session: Session, *lines: str) -> list[bytes]:
    """Run commands, one a line; return the words of the effects."""
    for line in lines:
        receive(session, encode([word.encode() for word in line.split("|")]))
    stream = take_stream(session.engine) or b""
    return [word for word in stream.split(b"\r\n") if word and word[:1] not in b"*$"]


def test_transaction_of_several_writes_is_one_unit(session: Session) -> None:
    words = left(session, "MULTI", "SET|a|1", "GET|a", "SET|b|2", "EXEC")
    assert words == [b"SELECT", b"0", b"MULTI", b"SET", b"a", b"1", b"SET", b"b", b"2", b"EXEC"]


def test_script_of_several_writes_is_one_unit_without_the_script(session: Session) -> None:
    words = left(session, "EVAL|redis.call('set', 'a', 1) redis.call('set', 'b', 2)|0")
    assert words == [b"SELECT", b"0", b"MULTI", b"set", b"a", b"1", b"set", b"b", b"2", b"EXEC"]


def test_script_of_one_write_leaves_that_write(session: Session) -> None:
    words = left(session, "EVAL|redis.call('set', 'a', 1) return redis.call('get', 'a')|0")
    assert words[2:] == [b"set", b"a", b"1"]


def test_script_in_a_transaction_belongs_to_its_unit(session: Session) -> None:
    script = "EVAL|redis.call('set', 'a', 1) redis.call('set', 'b', 2)|0"
    words = left(session, "MULTI", script, "SET|c|3", "EXEC")
    assert words.count(b"MULTI") == words.count(b"EXEC") == 1


def test_script_that_reads_and_failed_transaction_leave_nothing(session: Session) -> None:
    assert left(session, "EVAL|return redis.call('get', 'a')|0", "MULTI", "GET", "SET|a|1", "EXEC") == []


def test_script_that_turns_replication_off_leaves_nothing(session: Session) -> None:
    assert left(session, "EVAL|redis.set_repl(redis.REPL_NONE) redis.call('set', 'a', 1)|0") == []


def test_message_is_passed_on_as_it_came(session: Session) -> None:
    assert left(session, "PUBLISH|news|x")[2:] == [b"PUBLISH", b"news", b"x"]
