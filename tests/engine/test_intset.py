"""The intset against a Python set, its bytes against hand-made ones, its check against hostile bytes."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.testing.probes import IntsetProbe, intset_valid

EDGES = [edge + step for bits in (15, 31, 63) for edge in (2**bits, -(2**bits)) for step in (-1, 0, 1)]
members = st.one_of(
    st.integers(-20, 20),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([edge for edge in EDGES if -(2**63) <= edge < 2**63]),
)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.booleans(), members), max_size=80))
def test_any_run_of_edits_leaves_what_a_set_would_hold(run: list[tuple[bool, int]]) -> None:
    probe, model = IntsetProbe(), set[int]()
    for adding, value in run:
        if adding:
            assert probe.add(value) == (value not in model)
            model.add(value)
        else:
            assert probe.remove(value) == (value in model)
            model.discard(value)
        assert probe.members() == sorted(model)
        assert intset_valid(probe.raw()) == bool(model)
    for _, value in run:
        for near in (value - 1, value, value + 1):
            if -(2**63) <= near < 2**63:
                assert probe.contains(near) == (near in model)
    assert probe.copy().raw() == probe.raw()
    assert probe.close() == 0


@pytest.mark.parametrize(
    ("values", "raw"),
    [
        ([1, -2], "02000000 02000000 feff 0100"),
        ([1, 32767], "02000000 02000000 0100 ff7f"),
        ([1, 32768], "04000000 02000000 01000000 00800000"),
        ([1, -32769], "04000000 02000000 ff7fffff 01000000"),
        ([1, 2**31], "08000000 02000000 0100000000000000 0000008000000000"),
    ],
)
def test_intset_has_the_bytes_that_redis_writes(values: list[int], raw: str) -> None:
    probe = IntsetProbe()
    for value in values:
        probe.add(value)
    assert probe.raw() == bytes.fromhex(raw)


def test_removing_the_wide_member_leaves_the_width_as_redis_does() -> None:
    probe = IntsetProbe()
    probe.add(1)
    probe.add(2**40)
    probe.remove(2**40)
    assert probe.raw() == bytes.fromhex("08000000 01000000 0100000000000000")


def test_memory_follows_the_members_up_and_down() -> None:
    probe = IntsetProbe()
    for value in range(512):
        probe.add(value)
        assert probe.block_bytes() <= len(probe.raw()) * 17 // 16 + 48
    for value in range(512):
        probe.remove(value)
        assert probe.block_bytes() <= len(probe.raw()) * 9 // 8 + 48


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "02000000 000000",
        "02000000 00000000",
        "03000000 01000000 010000",
        "02000000 01000000",
        "02000000 01000000 0100 00",
        "02000000 02000000 0100 0100",
        "02000000 02000000 0200 0100",
        "08000000 00000020",
        "08000000 ffffffff 0100000000000000",
    ],
)
def test_check_refuses_what_is_no_intset(raw: str) -> None:
    assert not intset_valid(bytes.fromhex(raw))


def test_check_never_reads_past_hostile_bytes() -> None:
    luck = random.Random(7)
    for _ in range(5000):
        head = luck.choice([2, 4, 8]).to_bytes(4, "little") + luck.randrange(6).to_bytes(4, "little")
        intset_valid((head + luck.randbytes(40))[: luck.randrange(48)])
        intset_valid(luck.randbytes(luck.randrange(20)))
