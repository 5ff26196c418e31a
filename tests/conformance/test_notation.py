"""The notation of the cases and the raw client mean what README.md says."""

from __future__ import annotations

import pytest

from tests.conformance.casefile import expand_braces, split_words
from tests.conformance.compare import normalise, same
from tests.conformance.recording import escaped, unescaped
from tests.wire import parse, render, reply_end

REPLY = b"%1\r\n$1\r\nk\r\n*4\r\n:1\r\n,2.5\r\n_\r\n=5\r\ntxt:x\r\n"


def test_braces_stand_for_every_choice_but_not_inside_quotes() -> None:
    assert expand_braces("{GET,SET} k {,NX}") == ["GET k", "GET k NX", "SET k", "SET k NX"]
    assert expand_braces("EVAL \"return {1,2}\" 0 '{a,b}' {tag}") == ["EVAL \"return {1,2}\" 0 '{a,b}' {tag}"]


def test_words_are_binary_safe_and_repeat() -> None:
    assert split_words(r'SET "a\x00\r\n\"" \x00') == [b"SET", b'a\0\r\n"', b"\\x00"]
    assert split_words("<x*3> <#:m#:1..2>") == [b"xxx", b"1", b"m1", b"2", b"m2"]


def test_a_reply_is_found_whole_at_any_length_and_renders_back() -> None:
    assert [reply_end(REPLY[:length], 0) for length in range(len(REPLY))] == [0] * len(REPLY)
    assert reply_end(REPLY + b"+OK\r\n", 0) == len(REPLY)
    assert render(parse(REPLY)) == REPLY


def test_recorded_text_reads_back_as_the_same_bytes() -> None:
    everything = bytes(range(256))
    assert unescaped(escaped(everything)) == everything


@pytest.mark.parametrize(
    ("one", "other", "directives", "equal"),
    [
        (b":5\r\n", b":6\r\n", {"near": "1"}, True),
        (b":5\r\n", b":7\r\n", {"near": "1"}, False),
        (b"*2\r\n:1\r\n:2\r\n", b"*2\r\n:2\r\n:1\r\n", {"unordered": ""}, True),
        (b"*2\r\n:1\r\n:2\r\n", b"~2\r\n:2\r\n:1\r\n", {"unordered": ""}, False),
        (b"$1\r\na\r\n", b"$2\r\nbc\r\n", {"shape": ""}, True),
        (b"$1\r\na\r\n", b"+a\r\n", {"shape": ""}, False),
        (b"-ERR one\r\n", b"-ERR two\r\n", {"error": ""}, True),
        (b"+id=12\r\n", b"+id=7\r\n", {"mask": r"\d+"}, True),
        (b"+OK\r\n", b"+ok\r\n", {}, False),
    ],
)
def test_directives_compare_what_they_say(
    one: bytes, other: bytes, directives: dict[str, str], equal: bool
) -> None:
    assert same(normalise(one, directives), normalise(other, directives), directives) == equal
