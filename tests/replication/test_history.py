"""Tests of replication ids, offsets and PSYNC on both sides."""

from __future__ import annotations

import pytest

from holdfast.replication.empty_primary import Cause, PrimaryClaim, full_resync_refusal
from holdfast.replication.history import (
    FORMER_MOST,
    NO_ID,
    Continue,
    FullResync,
    History,
    PsyncAnswer,
    former_text,
    full_resync_reply,
    history_after_start,
    psync_decision,
    psync_request,
    read_former,
    read_psync_reply,
)
from holdfast.replication.set_record import Position

A, B, C = "a" * 40, "b" * 40, "c" * 40
PROMOTED = History(A, 100).promoted(B).advanced(50)


@pytest.mark.parametrize(
    ("asked_id", "asked_byte", "backlog_first", "expected"),
    [
        (B, 120, 50, 120),
        (B.upper(), 151, 50, 151),
        (B, 50, 50, 50),
        (A, 101, 50, 101),
        (A, 60, 50, 60),
        (A, 102, 50, "shared only up to 101"),
        (C, 120, 50, "replication id mismatch"),
        (NO_ID, 120, 50, "replication id mismatch"),
        ("?", -1, 50, "asked for a full resync"),
        (B, 49, 50, "the backlog begins at 50"),
        (B, 152, 50, "past the end at 150"),
        (B, 120, None, "no backlog"),
        (B, -5, 50, "the backlog begins at 50"),
    ],
)
def test_the_primary_continues_only_a_shared_history_that_its_backlog_holds(
    asked_id: str, asked_byte: int, backlog_first: int | None, expected: int | str
) -> None:
    decision = psync_decision(PROMOTED, backlog_first, asked_id, asked_byte, knows_psync2=True)
    if isinstance(expected, int):
        assert decision == Continue(expected, f"+CONTINUE {B}\r\n".encode())
    else:
        assert isinstance(decision, FullResync) and expected in decision.reason
        assert decision.was_asked_for is (asked_id == "?")


def test_a_history_without_a_second_id_continues_nobody_under_the_zero_id() -> None:
    assert isinstance(psync_decision(History(A, 10), 1, NO_ID, -1, True), FullResync)


def test_an_old_replica_gets_a_continue_without_an_id() -> None:
    assert psync_decision(PROMOTED, 50, B, 120, knows_psync2=False) == Continue(120, b"+CONTINUE\r\n")


def test_a_restarted_replica_goes_on_and_a_restarted_primary_takes_a_new_id() -> None:
    fields = History(A, 77, stream_database=3).to_rdb_fields()
    assert history_after_start(fields, C, is_replica=True) == History(A, 77, stream_database=3)
    primary = history_after_start(fields, C, is_replica=False)
    assert (primary.replication_id, primary.second_id, primary.second_valid_up_to) == (C, A, 78)
    assert history_after_start({}, C, is_replica=True) == History(C)
    assert history_after_start({"repl-id": "short", "repl-offset": "5"}, C, True) == History(C)
    assert history_after_start({"repl-id": A, "repl-offset": "-5"}, C, True) == History(C)


def test_former_ids_are_read_as_they_were_written_the_last_ones_of_many() -> None:
    former = {f"{number:040x}": number * 7 for number in range(1, 12)}
    assert read_former(former_text(former)) == dict(list(former.items())[-FORMER_MOST:])
    assert read_former("") == read_former("short:5") == read_former(f"{A}:x") == read_former(f"{A}:") == {}
    assert read_former(f"rubbish,{A}:5,:,{B}:{'9' * 30}") == {A: 5}


def test_a_replica_keeps_the_old_id_as_second_when_the_primary_announces_a_new_one() -> None:
    copy = History(A, 100)
    assert copy.continued_as(None) == copy.continued_as(A) == copy
    moved = copy.continued_as(B)
    assert (moved.replication_id, moved.second_id, moved.second_valid_up_to) == (B, A, 101)
    assert moved.without_past(C) == History(C, 100)
    assert moved.replaced_by(C, 5) == History(C, 5)


def test_a_replica_asks_for_the_byte_after_its_last_one() -> None:
    assert psync_request(None) == (b"PSYNC", b"?", b"-1")
    assert psync_request(History(A, 100)) == (b"PSYNC", A.encode(), b"101")
    assert psync_request(History(A, 100), is_failover=True)[3] == b"FAILOVER"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (f"+FULLRESYNC {A} 12", PsyncAnswer.FULL),
        (full_resync_reply(History(A, 9)).decode().strip(), PsyncAnswer.FULL),
        (f"+FULLRESYNC {A}", PsyncAnswer.BROKEN),
        ("+FULLRESYNC short 12", PsyncAnswer.BROKEN),
        (f"+FULLRESYNC {A} -1", PsyncAnswer.BROKEN),
        ("+CONTINUE", PsyncAnswer.CONTINUE),
        (f"+CONTINUE {B}", PsyncAnswer.CONTINUE),
        ("+CONTINUE x", PsyncAnswer.BROKEN),
        ("-NOMASTERLINK Can't SYNC while not connected with my master", PsyncAnswer.TRY_LATER),
        ("-LOADING Redis is loading the dataset in memory", PsyncAnswer.TRY_LATER),
        ("-ERR unknown command 'PSYNC'", PsyncAnswer.NOT_SUPPORTED),
        ("whatever", PsyncAnswer.BROKEN),
        ("", PsyncAnswer.BROKEN),
    ],
)
def test_a_reply_to_psync_is_read(line: str, answer: PsyncAnswer) -> None:
    assert read_psync_reply(line).answer is answer


def test_a_copy_to_which_nothing_was_added_under_its_new_id_is_one_of_the_former_history() -> None:
    restarted = History(A, 100).promoted(B)
    assert restarted.under_former_id() == History(A, 100)
    assert restarted.advanced(1).under_former_id() == restarted.advanced(1)
    assert History(A, 100).under_former_id() == History(A, 100)


OWN = Position(3, 500)


@pytest.mark.parametrize(
    ("enabled", "cause", "keys", "claim", "refused"),
    [
        (True, Cause.RECONNECT, 9, PrimaryClaim(B, Position(3, 499), 0), True),
        (True, Cause.RECONNECT, 9, PrimaryClaim(B, Position(2, 9000), 7), True),
        (True, Cause.RECONNECT, 9, PrimaryClaim(B, Position(3, 500), 0), False),
        (True, Cause.RECONNECT, 9, PrimaryClaim(B, Position(4, 1), 0), False),
        (True, Cause.RECONNECT, 0, PrimaryClaim(B, Position(0, 0), 0), False),
        (False, Cause.RECONNECT, 9, PrimaryClaim(B, Position(0, 0), 0), False),
        (True, Cause.ORDERED_BY_HAND, 9, PrimaryClaim(B, Position(0, 0), 0), False),
        (True, Cause.ORDERED_WITH_EPOCH, 9, PrimaryClaim(B, Position(0, 0), 0), False),
        (True, Cause.RECONNECT, 9, PrimaryClaim(B, None, 0), True),
        (True, Cause.RECONNECT, 9, PrimaryClaim(A, None, 0), False),
        (True, Cause.RECONNECT, 9, PrimaryClaim(B, None, 3), False),
        (True, Cause.RECONNECT, 9, PrimaryClaim(B, None, None), False),
    ],
)
def test_a_replica_with_keys_refuses_a_primary_that_lost_history_and_follows_one_that_was_flushed(
    enabled: bool, cause: Cause, keys: int, claim: PrimaryClaim, refused: bool
) -> None:
    reason = full_resync_refusal(enabled, cause, OWN, keys, frozenset({A}), claim)
    assert (reason is not None) is refused
