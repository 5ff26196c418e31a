"""LZF: round trips, exchange with liblzf, and hostile streams."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.testing.probes import lzf_compress, lzf_decompress

pieces = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([b"alpha", b"beta", b"gamma", b"a", b"ab"]),
        st.tuples(st.binary(min_size=1, max_size=5), st.integers(1, 400)).map(lambda pair: pair[0] * pair[1]),
    ),
    min_size=1,
    max_size=40,
).map(b"".join)


def packed(raw: bytes) -> bytes:
    """Compress with room for the worst case: a byte more for each 32."""
    result = lzf_compress(raw, len(raw) + len(raw) // 32 + 1)
    assert result is not None
    return result


def long_text(size: int) -> bytes:
    luck = random.Random(size)
    words = [luck.randbytes(luck.randint(1, 12)) for _ in range(300)]
    return b"".join(luck.choice(words) for _ in range(size))[:size]


@given(pieces.filter(bool))
def test_what_is_compressed_comes_back(raw: bytes) -> None:
    assert lzf_decompress(packed(raw), len(raw)) == raw
    assert lzf_decompress(packed(raw), len(raw) + 100) == raw
    assert len(raw) < 2 or lzf_decompress(packed(raw), len(raw) - 1) is None


@pytest.mark.parametrize(
    "raw", [bytes(100_000), b"ab" * 9000, long_text(200_000), random.Random(1).randbytes(70_000)]
)
def test_streams_are_exchanged_with_liblzf_both_ways(raw: bytes) -> None:
    liblzf: Any = pytest.importorskip("lzf")
    assert liblzf.decompress(packed(raw), len(raw)) == raw
    theirs = liblzf.compress(raw, 2 * len(raw))
    assert lzf_decompress(theirs, len(raw)) == raw
    assert len(packed(raw)) < len(theirs) * 1.05


@given(pieces.filter(bool))
def test_small_streams_are_exchanged_with_liblzf_both_ways(raw: bytes) -> None:
    liblzf: Any = pytest.importorskip("lzf")
    assert liblzf.decompress(packed(raw), len(raw)) == raw
    theirs = liblzf.compress(raw, 2 * len(raw) + 10)
    assert theirs is None or lzf_decompress(theirs, len(raw)) == raw


def test_repeats_are_found_as_far_back_as_the_format_reaches() -> None:
    luck = random.Random(3)
    mark = b"a mark that stands out"
    near = mark + luck.randbytes(8192 - len(mark)) + mark
    assert lzf_decompress(packed(near), len(near)) == near
    for distance in (8190, 8191, 8192, 8193):
        raw = mark + luck.randbytes(distance - len(mark)) + mark
        assert lzf_decompress(packed(raw), len(raw)) == raw


@given(pieces.filter(bool), st.integers(0, 2000))
def test_compression_gives_up_when_there_is_too_little_room(raw: bytes, room: int) -> None:
    whole = packed(raw)
    assert lzf_compress(raw, room) == (whole if room >= len(whole) else None)


def test_what_gains_nothing_is_left_as_it_is() -> None:
    raw = random.Random(5).randbytes(1000)
    assert lzf_compress(raw, len(raw) - 4) is None
    assert lzf_compress(b"", 10) is None


@given(st.binary(max_size=80), st.integers(0, 600))
def test_any_bytes_are_decompressed_or_refused_within_their_bounds(stream: bytes, room: int) -> None:
    result = lzf_decompress(stream, room)
    assert result is None or 0 < len(result) <= room


@pytest.mark.parametrize(
    "stream", ["00", "0261", "2000", "2001", "e0", "e000", "0061 2001", "0061 e0ff", "0061 20"]
)
def test_damaged_streams_are_refused(stream: str) -> None:
    assert lzf_decompress(bytes.fromhex(stream), 1000) is None


def test_true_streams_with_flipped_bytes_do_no_harm() -> None:
    luck = random.Random(9)
    raw = long_text(3000)
    stream = packed(raw)
    for _ in range(2000):
        damaged = bytearray(stream)
        damaged[luck.randrange(len(stream))] = luck.randrange(256)
        result = lzf_decompress(bytes(damaged), len(raw))
        assert result is None or len(result) <= len(raw)
