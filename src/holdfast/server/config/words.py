"""How a configuration line is cut into words, and how a word is quoted again.

The rules are Redis's: words stand between blanks; "double quotes" know the
escapes \\n \\r \\t \\b \\a \\xHH and a backslash before any other character;
'single quotes' know only \\'. A closing quote must be followed by a blank or
by the end. There is no continuation of lines.

Text and bytes: values live as `str` in which bytes that are not UTF-8 are kept
by surrogateescape, so a path or a password of any bytes survives the round trip.

How to read it: `split_words` and `quoted` are inverse to each other.
"""

from __future__ import annotations

_BLANKS = b" \t\n\v\f\r"
_END_OF_BARE_WORD = b" \n\r\t\0"
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
_ESCAPED_BYTES = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x07: "\\a", 0x08: "\\b", 0x22: '\\"', 0x5C: "\\\\"}
_HEX = b"0123456789abcdefABCDEF"


def as_text(raw: bytes) -> str:
    """Return bytes as text that `as_bytes` turns back exactly."""
    return raw.decode("utf-8", "surrogateescape")


def as_bytes(text: str) -> bytes:
    """Return the bytes behind a text made by `as_text`."""
    return text.encode("utf-8", "surrogateescape")


def lowered(text: str) -> str:
    """Return `text` with A-Z lowered and nothing else changed, as Redis compares names."""
    return as_text(as_bytes(text).lower())


def split_words(line: str) -> list[str] | None:
    """Cut a line into words; None when its quotes are unbalanced (sds.c, sdssplitargs)."""
    raw = as_bytes(line).partition(b"\0")[0]
    words: list[str] = []
    place = 0
    while True:
        while place < len(raw) and raw[place] in _BLANKS:
            place += 1
        if place >= len(raw):
            return words
        word = bytearray()
        after = _one_word(raw, place, word)
        if after < 0:
            return None
        place = after
        words.append(as_text(bytes(word)))


def quoted(text: str) -> str:
    """Return `text` between double quotes with everything unprintable escaped (sds.c, sdscatrepr)."""
    parts = ['"']
    for byte in as_bytes(text):
        escape = _ESCAPED_BYTES.get(byte)
        if escape is not None:
            parts.append(escape)
        elif 0x20 <= byte < 0x7F:
            parts.append(chr(byte))
        else:
            parts.append(f"\\x{byte:02x}")
    parts.append('"')
    return "".join(parts)


def _one_word(raw: bytes, place: int, word: bytearray) -> int:
    """Append the word at `place` to `word`; return where it ends, -1 for unbalanced quotes."""
    while place < len(raw) and raw[place] not in _END_OF_BARE_WORD:
        byte = raw[place]
        if byte in b"\"'":
            read_quotes = _double_quoted if byte == 0x22 else _single_quoted
            end = read_quotes(raw, place + 1, word)
            if end < 0 or (end < len(raw) and raw[end] not in _BLANKS):
                return -1
            return end
        word.append(byte)
        place += 1
    return place


def _double_quoted(raw: bytes, place: int, word: bytearray) -> int:
    while place < len(raw):
        byte = raw[place]
        if byte == 0x22:
            return place + 1
        if byte == 0x5C and place + 1 < len(raw):
            pair = raw[place + 2 : place + 4]
            if raw[place + 1] == 0x78 and len(pair) == 2 and pair[0] in _HEX and pair[1] in _HEX:
                word.append(int(pair, 16))
                place += 4
                continue
            following = raw[place + 1 : place + 2]
            word += _ESCAPES.get(following, following)
            place += 2
            continue
        word.append(byte)
        place += 1
    return -1


def _single_quoted(raw: bytes, place: int, word: bytearray) -> int:
    while place < len(raw):
        byte = raw[place]
        if byte == 0x27:
            return place + 1
        if raw[place : place + 2] == b"\\'":
            place += 1
            byte = 0x27
        word.append(byte)
        place += 1
    return -1
