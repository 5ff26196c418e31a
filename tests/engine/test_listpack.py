"""The listpack against a Python list, its bytes against hand-made ones, its check against hostile bytes."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.testing.probes import ListpackProbe, listpack_entry_bytes, listpack_valid

INTEGER_EDGES = [
    edge + step
    for bits in (0, 7, 12, 15, 23, 31, 63)
    for edge in (2**bits, -(2**bits))
    for step in (-2, -1, 0, 1, 2)
    if -(2**63) <= edge + step < 2**63
]
numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.integers(-5000, 5000), st.sampled_from(INTEGER_EDGES)
).map(lambda number: b"%d" % number)
texts = st.one_of(
    st.binary(max_size=70),
    numbers,
    st.sampled_from([b"", b"-", b"-0", b"00", b"+1", b" 1", b"9223372036854775808", b"-9223372036854775809"]),
    st.integers(60, 5000).map(lambda size: b"x" * size),
)


def as_stored(text: bytes) -> int | bytes:
    """What a listpack keeps for a text: an integer when that prints as the same text."""
    try:
        number = int(text)
    except ValueError:
        return text
    return number if b"%d" % number == text and -(2**63) <= number < 2**63 else text


def filled(items: list[bytes]) -> ListpackProbe:
    probe = ListpackProbe()
    for item in items:
        probe.append(item)
    return probe


@pytest.mark.parametrize(
    ("text", "element"),
    [
        (b"0", "00 01"),
        (b"127", "7f 01"),
        (b"128", "c080 02"),
        (b"-1", "dfff 02"),
        (b"4095", "cfff 02"),
        (b"-4096", "d000 02"),
        (b"4096", "f10010 03"),
        (b"-32768", "f10080 03"),
        (b"32768", "f2008000 04"),
        (b"-8388608", "f2000080 04"),
        (b"8388608", "f300008000 05"),
        (b"-2147483648", "f300000080 05"),
        (b"2147483648", "f40000008000000000 09"),
        (b"-9223372036854775808", "f40000000000000080 09"),
        (b"", "80 01"),
        (b"abc", "83616263 04"),
        (b"a" * 63, "bf" + "61" * 63 + "40"),
        (b"a" * 64, "e040" + "61" * 64 + "42"),
        (b"a" * 4095, "efff" + "61" * 4095 + "2081"),
        (b"a" * 4096, "f000100000" + "61" * 4096 + "2085"),
    ],
)
def test_element_has_the_bytes_that_redis_writes(text: bytes, element: str) -> None:
    body = bytes.fromhex(element)
    raw = (len(body) + 7).to_bytes(4, "little") + b"\x01\x00" + body + b"\xff"
    assert filled([text]).raw() == raw
    assert listpack_valid(raw)
    assert listpack_entry_bytes(text) == len(body)


@pytest.mark.parametrize(
    "size", [16376, 16377, 16378, 16379, 2097145, 2097146, 2097147, 268435449, 268435450]
)
def test_long_text_is_found_from_both_ends_whatever_the_width_of_its_length(size: int) -> None:
    probe = ListpackProbe()
    probe.append(b"before")
    probe.append(bytes(size))
    probe.append(b"after")
    assert probe.seek(-3) == b"before" == probe.seek(0)
    if size < 10_000_000:
        assert listpack_valid(probe.raw())
    overhead = 5 + (2 if size < 16378 else 3 if size < 2097146 else 4 if size < 268435450 else 5)
    assert len(probe.raw()) == 7 + 8 + 7 + size + overhead


@given(st.lists(texts, max_size=40))
def test_elements_read_the_same_forwards_backwards_and_by_index(items: list[bytes]) -> None:
    probe = filled(items)
    stored = [as_stored(item) for item in items]
    assert probe.forwards() == stored
    assert probe.backwards() == stored[::-1]
    assert probe.count() == len(items)
    assert listpack_valid(probe.raw())
    for index in range(-len(items) - 1, len(items) + 1):
        inside = -len(items) <= index < len(items)
        assert probe.seek(index) == (stored[index] if inside else None)
    for index, item in enumerate(items):
        assert probe.text(index) == item
        assert probe.equal(index, item)
        assert not probe.equal(index, item + b"0")
    assert len(probe.raw()) == 7 + sum(map(listpack_entry_bytes, items))
    assert ListpackProbe.of_bytes(probe.raw()).forwards() == stored
    assert probe.copy().raw() == probe.raw()
    assert probe.close() == 0


edits = st.lists(
    st.tuples(
        st.sampled_from(["append", "prepend", "insert", "replace", "delete", "fit"]),
        st.integers(0, 50),
        texts,
        st.integers(0, 4),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(edits)
def test_any_run_of_edits_leaves_what_a_list_would_hold(run: list[tuple[str, int, bytes, int]]) -> None:
    probe, model = ListpackProbe(), list[bytes]()
    for name, place, text, count in run:
        if name == "append":
            probe.append(text)
            model.append(text)
        elif name == "prepend":
            probe.prepend(text)
            model.insert(0, text)
        elif name == "insert":
            index = min(place, len(model))
            assert probe.insert(index, text) == index
            model.insert(index, text)
        elif name == "fit":
            probe.fit()
        elif model and name == "replace":
            index = place % len(model)
            assert probe.replace(index, text) == index
            model[index] = text
        elif model:
            index = place % len(model)
            following = probe.delete(index, count)
            del model[index : index + count]
            assert following == (index if index < len(model) else None)
        assert probe.forwards() == [as_stored(item) for item in model]
        assert probe.raw() == filled(model).raw()
    assert listpack_valid(probe.raw())
    assert probe.close() == 0


@given(st.lists(texts, min_size=1, max_size=20), texts, st.integers(0, 3), st.integers(0, 19))
def test_find_returns_the_first_equal_element_on_its_stride(
    items: list[bytes], wanted: bytes, skip: int, start: int
) -> None:
    for text in [wanted, *items]:
        places = [i for i in range(start, len(items), skip + 1) if items[i] == text]
        assert filled(items).find(text, start, skip) == (places[0] if places else None)


def test_find_sees_a_number_that_another_writer_stored_as_text() -> None:
    raw = bytes.fromhex("0a000000 0100 8137 02 ff")
    assert ListpackProbe.of_bytes(raw).find(b"7") == 0


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(INTEGER_EDGES))
def test_integers_given_as_integers_are_stored_as_their_text_would_be(first: int, second: int) -> None:
    probe = ListpackProbe()
    probe.append_int(first)
    assert probe.raw() == filled([b"%d" % first]).raw()
    assert probe.replace_int(0, second) == 0
    assert probe.raw() == filled([b"%d" % second]).raw()


def test_text_may_be_borrowed_from_the_listpack_that_is_edited() -> None:
    probe = filled([b"x" * 60])
    for _ in range(500):
        probe.append_own(-1)
    assert probe.forwards() == [b"x" * 60] * 501


def test_count_is_right_when_the_header_can_no_longer_hold_it() -> None:
    probe = ListpackProbe()
    probe.append_many(b"1", 65534)
    assert (probe.raw()[4:6], probe.count()) == (b"\xfe\xff", 65534)
    probe.append(b"1")
    assert (probe.raw()[4:6], probe.count()) == (b"\xff\xff", 65535)
    probe.append_many(b"1", 10)
    assert (probe.raw()[4:6], probe.count()) == (b"\xff\xff", 65545)
    assert probe.seek(65544) == 1 and probe.seek(65545) is None
    assert probe.seek(-65545) == 1 and probe.seek(-65546) is None
    assert listpack_valid(probe.raw())
    probe.delete(0, 100)
    assert (probe.count(), probe.raw()[4:6]) == (65445, (65445).to_bytes(2, "little"))


def test_small_listpack_takes_only_what_the_allocator_rounds_up_to() -> None:
    probe = ListpackProbe()
    for index in range(20):
        probe.append(b"field-%d" % index)
        assert probe.block_bytes() < len(probe.raw()) + 48


def test_large_listpack_keeps_at_most_an_eighth_of_room_after_any_edit() -> None:
    probe = ListpackProbe()
    for index in range(500):
        probe.append(b"element-%d" % index)
    for _ in range(490):
        probe.delete(0)
        assert probe.block_bytes() <= len(probe.raw()) * 9 // 8 + 48


def test_a_listpack_says_when_a_text_would_make_it_too_large() -> None:
    probe = ListpackProbe()
    assert probe.fits(1 << 29)
    assert not probe.fits(1 << 30)
    assert not probe.fits((1 << 64) - 1)


@settings(max_examples=500)
@given(st.binary(max_size=60), st.integers(0, 65535))
def test_check_refuses_or_accepts_hostile_bytes_without_reading_past_them(body: bytes, count: int) -> None:
    listpack_valid(body)
    raw = (len(body) + 7).to_bytes(4, "little") + count.to_bytes(2, "little") + body + b"\xff"
    if listpack_valid(raw):
        probe = ListpackProbe.of_bytes(raw)
        assert probe.forwards() == probe.backwards()[::-1]
        assert probe.count() == len(probe.forwards())


def test_check_refuses_every_truncation_and_most_flips_of_a_true_listpack() -> None:
    luck = random.Random(7)
    raw = filled([b"12", b"abc", b"-300", b"x" * 70, b"123456789", b"y" * 5000, b"9" * 18]).raw()
    assert listpack_valid(raw)
    assert not any(listpack_valid(raw[:size]) for size in range(len(raw)))
    assert not listpack_valid(raw + b"\xff")
    for _ in range(3000):
        damaged = bytearray(raw)
        for _ in range(luck.randint(1, 3)):
            damaged[luck.randrange(len(raw))] = luck.randrange(256)
        if listpack_valid(bytes(damaged)):
            probe = ListpackProbe.of_bytes(bytes(damaged))
            assert probe.forwards() == probe.backwards()[::-1]
