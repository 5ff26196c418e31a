"""Reading numbers exactly as Redis reads them in its configuration.

Python's `int()` takes "1_000", " 7 " and "٣"; Redis does not, and where it is
lax ("gb" is zero bytes, sizes wrap at 64 bits) clients have seen it. This is
no general parser: each function stands for one C function that it names.

How to read it: `strict_integer` for plain numbers, `memory_bytes` for sizes,
`octal`, `loose_integer` for the lists (`save`, buffer limits), `strict_float`.
"""

from __future__ import annotations

_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1
_UINT64_MAX = (1 << 64) - 1
_INFINITY = float("inf")
_BLANKS = " \t\n\v\f\r"
_DIGITS = "0123456789"
_UNITS = {
    "": 1,
    "b": 1,
    "k": 1000,
    "kb": 1024,
    "m": 1000**2,
    "mb": 1024**2,
    "g": 1000**3,
    "gb": 1024**3,
}


def strict_integer(text: str) -> int | None:
    """Read a 64-bit integer without blanks, plus sign or leading zeros (util.c, string2ll)."""
    digits = text[1:] if text.startswith("-") else text
    if not digits or any(digit not in _DIGITS for digit in digits) or len(digits) > 20:
        return None
    if digits[0] == "0" and text != "0":
        return None
    value = int(text)
    return value if _INT64_MIN <= value <= _INT64_MAX else None


def memory_bytes(text: str) -> int | None:
    """Read a size with its unit in bytes, modulo 2**64; "" and a bare unit are 0 (util.c, memtoull)."""
    count = 0
    while count < len(text) and text[count] in _DIGITS:
        count += 1
    multiplier = _UNITS.get(text[count:].lower())
    if multiplier is None or count >= 128 or not text[count:].isascii():
        return None
    value = min(int(text[:count] or "0"), _UINT64_MAX)
    return value * multiplier & _UINT64_MAX


def as_signed(value: int) -> int:
    """Return a 64-bit pattern as the signed number that C would see."""
    return value - (1 << 64) if value > _INT64_MAX else value


def loose_integer(text: str, base: int = 10) -> int | None:
    """Read a whole text by C's strtoll: leading blanks and a sign pass, "" is 0, overflow saturates."""
    rest = text.lstrip(_BLANKS)
    negative = rest.startswith("-")
    digits = rest[1:] if rest[:1] in ("-", "+") else rest
    if not digits:
        return 0 if not text else None
    allowed = _DIGITS[:base]
    if any(digit not in allowed for digit in digits):
        return None
    if len(digits) > 64 + digits.count("0"):
        return _INT64_MIN if negative else _INT64_MAX
    value = int(digits, base) * (-1 if negative else 1)
    return max(_INT64_MIN, min(_INT64_MAX, value))


def octal(text: str) -> int | None:
    """Read an octal number such as file permissions; None on overflow or other characters."""
    value = loose_integer(text, 8)
    return None if value in (_INT64_MIN, _INT64_MAX) else value


def strict_float(text: str) -> float | None:
    """Read a float or an infinity, no blanks around it, no NaN, no overflow (util.c, string2d)."""
    if not text or not text.isascii() or text[0] in _BLANKS or text[-1] in _BLANKS or "_" in text:
        return None
    try:
        value = float.fromhex(text) if "x" in text.lower() else float(text)
    except (ValueError, OverflowError):
        return None
    mantissa = text.lower().partition("p" if "x" in text.lower() else "e")[0]
    underflow = value == 0 and any(digit in "123456789abcdef" for digit in mantissa.replace("0x", ""))
    overflow = value in (_INFINITY, -_INFINITY) and "inf" not in text.lower()
    return None if value != value or underflow or overflow else value
