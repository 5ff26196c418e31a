"""Checksums against a bit-by-bit reckoning and known values; slots against the hash tag rules."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.testing.probes import crc16, crc64, key_slot


def crc64_bit_by_bit(crc: int, text: bytes) -> int:
    for byte in text:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x95AC9329AC4BC9B5 if crc & 1 else crc >> 1
    return crc


def crc16_bit_by_bit(text: bytes) -> int:
    crc = 0
    for byte in text:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def test_checksums_have_their_published_check_values() -> None:
    assert crc16(b"123456789") == 0x31C3
    assert crc64(0, b"123456789") == 0xE9C6D914C4B8D9CA


@given(st.binary(max_size=100), st.integers(0, 2**64 - 1), st.integers(0, 100))
def test_checksums_equal_those_reckoned_bit_by_bit_in_any_number_of_parts(
    text: bytes, begin: int, cut: int
) -> None:
    assert crc16(text) == crc16_bit_by_bit(text)
    assert crc64(begin, text) == crc64_bit_by_bit(begin, text)
    assert crc64(crc64(begin, text[:cut]), text[cut:]) == crc64(begin, text)


@given(st.binary(max_size=300))
def test_crc64_equals_that_of_another_implementation(text: bytes) -> None:
    crcmod = pytest.importorskip("crcmod")
    assert crc64(0, text) == crcmod.mkCrcFun(0x1AD93D23594C935A9, initCrc=0, rev=True, xorOut=0)(text)


@settings(deadline=None)
@given(st.integers(200, 700), st.integers(0, 2**64 - 1))
def test_crc64_of_long_runs_which_are_folded_is_the_same(length: int, begin: int) -> None:
    text = bytes(n * n + n // 3 & 255 for n in range(length))
    assert crc64(begin, text) == crc64_bit_by_bit(begin, text)


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"", b""),
        (b"foo", b"foo"),
        (b"{user1000}.following", b"user1000"),
        (b"foo{}{bar}", b"foo{}{bar}"),
        (b"foo{{bar}}zap", b"{bar"),
        (b"foo{bar}{zap}", b"bar"),
        (b"foo{bar", b"foo{bar"),
        (b"foo}bar{", b"foo}bar{"),
        (b"}{a}", b"a"),
        (b"{", b"{"),
        (b"{}", b"{}"),
    ],
)
def test_only_the_first_tag_that_is_not_empty_decides_the_slot(key: bytes, hashed: bytes) -> None:
    assert key_slot(key) == crc16_bit_by_bit(hashed) % 16384


def test_slots_are_those_that_redis_documents() -> None:
    assert (key_slot(b"foo"), key_slot(b"hello"), key_slot(b"somekey")) == (12182, 866, 11058)
