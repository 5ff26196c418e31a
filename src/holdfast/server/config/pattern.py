"""Glob patterns: those of CONFIG GET, and those of `include`.

Not the matcher of KEYS and PSUBSCRIBE: that one is in the engine, over bytes.
The rules are the same (util.c, stringmatchlen): * ? [set] [^set] [a-z] and \\
before a character that stands for itself.

How to read it: `matches` is the whole rule; `expand` walks directories with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.server.host import Disk

WILDCARDS = "*?["


def has_wildcard(text: str) -> bool:
    """Tell whether a name is a pattern."""
    return any(character in WILDCARDS for character in text)


def matches(pattern: str, text: str) -> bool:
    """Tell whether `text` is described by `pattern` in full.

    Linear in memory and at worst pattern x text in time: only the last star is
    ever tried again.
    """
    place = spot = 0
    star = -1
    star_spot = 0
    while spot < len(text):
        if place < len(pattern) and pattern[place] == "*":
            star, star_spot = place, spot
            place += 1
            continue
        after = _one(pattern, place, text[spot]) if place < len(pattern) else -1
        if after >= 0:
            place = after
            spot += 1
        elif star >= 0:
            star_spot += 1
            place, spot = star + 1, star_spot
        else:
            return False
    return all(character == "*" for character in pattern[place:])


def expand(disk: Disk, pattern: str) -> list[str]:
    """Return the existing paths that match, sorted; names that begin with a dot must be asked for."""
    root = "/" if pattern.startswith("/") else ""
    found = [root]
    for part in [part for part in pattern.split("/") if part]:
        following: list[str] = []
        for path in found:
            base = path if not path or path.endswith("/") else path + "/"
            if not has_wildcard(part):
                if disk.exists(base + part):
                    following.append(base + part)
                continue
            try:
                names = disk.listdir(base or ".")
            except OSError:
                continue
            for name in names:
                if matches(part, name) and (part[0] == "." or not name.startswith(".")):
                    following.append(base + name)
        found = following
    return sorted(found)


def _one(pattern: str, place: int, character: str) -> int:
    """Match one character; return where the pattern goes on, -1 when it does not match."""
    sign = pattern[place]
    if sign == "?":
        return place + 1
    if sign == "[":
        return _set(pattern, place + 1, character)
    if sign == "\\" and place + 1 < len(pattern):
        place += 1
        sign = pattern[place]
    return place + 1 if sign == character else -1


def _set(pattern: str, place: int, character: str) -> int:
    negated = pattern[place : place + 1] == "^"
    if negated:
        place += 1
    hit = False
    while place < len(pattern) and pattern[place] != "]":
        if pattern[place] == "\\" and place + 1 < len(pattern):
            place += 1
            hit = hit or pattern[place] == character
        elif place + 2 < len(pattern) and pattern[place + 1] == "-":
            low, high = sorted((pattern[place], pattern[place + 2]))
            hit = hit or low <= character <= high
            place += 2
        else:
            hit = hit or pattern[place] == character
        place += 1
    return min(place + 1, len(pattern)) if hit != negated else -1
