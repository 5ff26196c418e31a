"""Numbers as text: strictness, round trips, and Redis's own spelling."""

import locale
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.testing.probes import (
    format_double,
    format_int64,
    format_long_double,
    long_double_round_trip,
    parse_double,
    parse_int64,
)

int64s = st.integers(-(2**63), 2**63 - 1)


@given(int64s)
def test_every_int64_is_written_in_decimal_and_read_back(value: int) -> None:
    assert format_int64(value) == b"%d" % value
    assert parse_int64(b"%d" % value) == value


@given(st.one_of(st.text("0123456789-+ .e", max_size=22).map(str.encode), st.binary(max_size=22)))
def test_text_reads_as_integer_only_when_it_would_be_written_so(text: bytes) -> None:
    value = parse_int64(text)
    if value is not None:
        assert b"%d" % value == text
    else:
        try:
            number = int(text)
        except ValueError:
            return
        assert b"%d" % number != text or not -(2**63) <= number < 2**63


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"-",
        b"+1",
        b"-0",
        b"00",
        b"01",
        b"-01",
        b" 1",
        b"1 ",
        b"1\0",
        b"1.0",
        b"9223372036854775808",
        b"-9223372036854775809",
        b"18446744073709551616",
        b"99999999999999999999",
        b"-99999999999999999999",
    ],
)
def test_loose_or_large_integers_are_refused(text: bytes) -> None:
    assert parse_int64(text) is None


@given(st.floats(allow_nan=False))
def test_every_double_reads_back_equal(value: float) -> None:
    again = parse_double(format_double(value))
    assert again is not None
    assert struct.pack("d", again) == struct.pack("d", value)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 25))
def test_decimal_text_reads_as_the_nearest_double(value: float, digits: int) -> None:
    for text in (f"{value:.{digits}f}", f"{value:.{digits}e}", repr(value)):
        nearest = float(text)
        vanished = nearest == 0 and any(digit in text.split("e")[0] for digit in "123456789")
        refused = vanished or math.isinf(nearest)
        assert parse_double(text.encode()) == (None if refused else nearest)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"3", 3.0),
        (b"+1.5", 1.5),
        (b"5.", 5.0),
        (b".5", 0.5),
        (b"1e3", 1000.0),
        (b"0x10", 16.0),
        (b"inf", math.inf),
        (b"-INFINITY", -math.inf),
        (b"0." + b"0" * 400 + b"1e401", 1.0),
        (b"4.9e-324", 5e-324),
        (b"9007199254740993", 9007199254740992.0),
    ],
)
def test_doubles_are_read_as_the_c_library_reads_them(text: bytes, value: float) -> None:
    assert parse_double(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" 1",
        b"1 ",
        b"\t1",
        b"1\0",
        b"\0",
        b"nan",
        b"-nan",
        b"1e400",
        b"-1e400",
        b"1e-400",
        b".",
        b"-",
        b"1,5",
        b"1.5.5",
    ],
)
def test_what_redis_refuses_as_double_is_refused(text: bytes) -> None:
    assert parse_double(text) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, b"0"),
        (-0.0, b"-0"),
        (3.0, b"3"),
        (-3.1, b"-3.1"),
        (0.1, b"0.1"),
        (math.inf, b"inf"),
        (-math.inf, b"-inf"),
        (math.nan, b"nan"),
        (1e17, b"100000000000000000"),
        (1e20, b"1e+20"),
        (-1.5e300, b"-1.5e+300"),
        (2.0**62, b"4611686018427387904"),
        (2.0**63, b"9223372036854776000"),
        (0.00001, b"0.00001"),
        (0.001234, b"0.001234"),
        (0.0001234, b"1.234e-4"),
        (0.00001234, b"1.234e-5"),
        (0.000001234, b"1.234e-6"),
        (1e-7, b"1e-7"),
        (1.23e-7, b"1.23e-7"),
        (1.7976931348623157e308, b"1.7976931348623157e+308"),
        (5e-324, b"5e-324"),
        # Grisu2 is not always the shortest; these are the bytes that Redis sends.
        (8.17e21, b"8169999999999999000000"),
        (5.17e21, b"5169999999999999000000"),
    ],
)
def test_doubles_are_spelled_as_redis_spells_them(value: float, text: bytes) -> None:
    assert format_double(value) == text


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (b"0.1", b"0.1"),
        (b"3.0", b"3"),
        (b"10.50", b"10.5"),
        (b"-0.0", b"0"),
        (b"5.0e3", b"5000"),
        (b"1e20", b"100000000000000000000"),
        (b"1e-17", b"0.00000000000000001"),
        (b"1e-18", b"0"),
        (b"-1e-20", b"0"),
        (b"9223372036854775807", b"9223372036854775807"),
        (b"inf", b"inf"),
        (b"-inf", b"-inf"),
        (b"1" * 5119, None),
        (b"0" * 5118 + b"7", b"7"),
        (b"0" * 5119 + b"7", None),
        (b"", None),
        (b"nan", None),
        (b" 1", None),
        (b"1 ", None),
        (b"1\0", None),
        (b"1e5000", None),
    ],
)
def test_long_doubles_are_read_and_spelled_as_incrbyfloat_does(text: bytes, answer: bytes | None) -> None:
    assert long_double_round_trip(text) == answer


def test_the_largest_long_double_fits_the_room_that_is_promised() -> None:
    answer = long_double_round_trip(b"-1e4932")
    assert answer is not None and len(answer) == 4934
    assert format_long_double(math.nan) == b"nan"


def test_a_locale_with_a_decimal_comma_changes_nothing() -> None:
    before = locale.setlocale(locale.LC_NUMERIC)
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "de_DE"):
        try:
            locale.setlocale(locale.LC_NUMERIC, name)
            break
        except locale.Error:
            continue
    else:
        pytest.skip("no such locale on this machine")
    try:
        assert parse_double(b"1.5e3") == 1500.0
        assert parse_double(b"1,5e3") is None
        assert long_double_round_trip(b"1.5") == b"1.5"
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)
