"""Where the keys of a call are, for commands of every shape."""

from __future__ import annotations

import pytest

from holdfast.commands.key_positions import keys_of
from holdfast.commands.spec import Spec


@pytest.mark.parametrize(
    ("call", "keys"),
    [
        ("get k", "k"),
        ("mset a 1 b 2", "a b"),
        ("del a b c", "a b c"),
        ("eval x 2 a b c", "a b"),
        ("eval x 0 c", ""),
        ("zunionstore d 2 a b", "d a b"),
        ("zunion 2 a b weights 1 2", "a b"),
        ("blmpop 0 2 a b left", "a b"),
        ("bzmpop 0 1 z min", "z"),
        ("blpop a b 0", "a b"),
        ("sort l by w get g store d", "l d"),
        ("sort l store a store b", "l b"),
        ("bitop and d a b", "d a b"),
        ("lmove a b left left", "a b"),
        ("migrate h 1 k 0 1", "k"),
        ("sintercard 2 a b", "a b"),
        ("lcs a b", "a b"),
        ("watch a b", "a b"),
    ],
)
def test_keys_are_found(call: str, keys: str) -> None:
    words = [word.encode() for word in call.split()]
    found = keys_of(Spec(call.split()[0], -1), words)
    assert found is not None
    assert [words[position].decode() for position, _ in found] == keys.split()


def test_options_decide_how_a_key_is_used() -> None:
    def flags(call: str) -> list[str]:
        words = [word.encode() for word in call.split()]
        found = keys_of(Spec(words[0].decode(), -1), words)
        assert found
        return found[-1][1]

    assert flags("set k v") == ["OW", "update"]
    assert flags("set k v get") == ["RW", "access", "update"]
    assert flags("bitfield k get u8 0") == ["RO", "access"]
    assert flags("bitfield k set u8 0 1") == ["RW", "access", "update"]


@pytest.mark.parametrize("call", ["eval x abc a", "eval x 5 a", "zunion 3 a b"])
def test_a_count_that_makes_no_sense_is_refused(call: str) -> None:
    words = [word.encode() for word in call.split()]
    assert keys_of(Spec(words[0].decode(), -1), words) is None
