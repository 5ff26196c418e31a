"""Tests of the stream that is kept once."""

from __future__ import annotations

import random

import pytest

from holdfast.replication.backlog import BLOCK_BYTES, Backlog, NotKept


def test_any_byte_that_is_kept_reads_back_whatever_the_sizes_of_the_appends() -> None:
    luck = random.Random(5)
    backlog, stream = Backlog(300_000), b""
    reader = backlog.open_reader(1)
    for _ in range(300):
        chunk = luck.randbytes(luck.choice((0, 1, 40, 3000, BLOCK_BYTES + 7)))
        backlog.append(chunk)
        stream += chunk
        if luck.random() < 0.2:
            reader.next_byte = luck.randint(reader.next_byte, backlog.next_byte)
        assert backlog.first_byte <= reader.next_byte
        assert backlog.kept_bytes >= min(len(stream), 300_000)
        begin = luck.randint(backlog.first_byte, backlog.next_byte)
        assert b"".join(backlog.read_all(begin)) == stream[begin - 1 :]
    assert backlog.lag_bytes(reader) == backlog.next_byte - reader.next_byte
    backlog.close_reader(reader)
    assert backlog.kept_bytes <= 300_000 + 2 * BLOCK_BYTES


def test_what_a_waiting_sync_needs_is_kept_beyond_the_size_and_goes_when_it_ends() -> None:
    backlog = Backlog(1000)
    reader = backlog.open_reader(1)
    for _ in range(10):
        backlog.append(b"x" * BLOCK_BYTES)
    assert backlog.kept_bytes == 10 * BLOCK_BYTES
    backlog.close_reader(reader)
    assert backlog.kept_bytes <= BLOCK_BYTES


def test_a_byte_before_the_first_or_after_the_next_is_an_error() -> None:
    backlog = Backlog(1000, next_byte=500)
    backlog.append(b"abc")
    assert (backlog.first_byte, backlog.next_byte) == (500, 503)
    assert (
        backlog.read(503) == b""
        and bytes(backlog.read(501)) == b"bc"
        and bytes(backlog.read(500, 2)) == b"ab"
    )
    for byte in (499, 504, -1):
        assert not backlog.has(byte)
        with pytest.raises(NotKept):
            backlog.read(byte)
        with pytest.raises(NotKept):
            backlog.open_reader(byte)


def test_a_piece_that_was_read_does_not_change_when_the_stream_goes_on() -> None:
    backlog = Backlog(1000)
    backlog.append(b"first")
    piece = backlog.read(1)
    backlog.append(b"second")
    assert bytes(piece) == b"first"


def test_the_time_to_live_runs_only_while_no_replica_is_attached() -> None:
    backlog = Backlog(1000)
    assert backlog.seconds_left(60, 0) is None
    backlog.note_replicas(0, 1000)
    backlog.note_replicas(0, 2000)
    assert backlog.seconds_left(60, 31_000) == 30
    assert backlog.seconds_left(60, 99_000) == 0
    assert backlog.seconds_left(0, 99_000) is None
    backlog.note_replicas(1, 99_000)
    assert backlog.seconds_left(60, 99_000) is None
