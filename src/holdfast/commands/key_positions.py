"""Where the keys of a call are: COMMAND GETKEYS, and whoever routes by key.

What it is: the walk over a command's key specifications, with the four commands
whose options decide (SORT ... STORE, SET ... GET, BITFIELD without writes, MIGRATE ... KEYS), as
Redis's own functions for them do. What it is not: the hot path of routing.

How to read it: `keys_of` is the door.
"""

from __future__ import annotations

from typing import Any

from holdfast.commands.facts import key_specs_of
from holdfast.commands.spec import Spec

Found = list[tuple[int, list[str]]]
"""Position in the call, and flags such as RO and access."""


def keys_of(spec: Spec, call: list[bytes]) -> Found | None:
    """Return the keys of a call in its order; None when the arguments make no sense."""
    special = _SPECIAL.get(spec.name)
    if special is not None:
        return special(call)
    found: Found = []
    for key_spec in key_specs_of(spec):
        if "not_key" in key_spec["flags"]:
            continue
        positions = _positions(key_spec, call)
        if positions is None:
            return None
        flags = [flag for flag in key_spec["flags"] if flag not in ("incomplete", "variable_flags")]
        found += [(position, flags) for position in positions]
    return found


def _positions(key_spec: dict[str, Any], call: list[bytes]) -> list[int] | None:
    kind, where = key_spec["begin"]
    if kind == "index":
        first = where["index"]
    elif kind == "keyword":
        start = where["startfrom"]
        wanted = where["keyword"].encode().lower()
        places = range(start, len(call)) if start > 0 else range(len(call) + start, 0, -1)
        first = next((place + 1 for place in places if call[place].lower() == wanted), 0)
        if not first:
            return []
    else:
        return []
    kind, how = key_spec["find"]
    if kind == "range":
        last = how["lastkey"]
        last = first + last if last >= 0 else len(call) + last
        if how["limit"] > 1 and how["lastkey"] == -1:
            last = first + (len(call) - first) // how["limit"] - 1
        step = how["keystep"]
    elif kind == "keynum":
        place = first + how["keynumidx"]
        count = _count(call[place]) if place < len(call) else None
        if count is None:
            return None
        first += how["firstkey"]
        step = how["keystep"]
        last = first + (count - 1) * step
    else:
        return []
    if last >= len(call) or (first >= len(call) and last >= first):
        return None
    return list(range(first, last + 1, step))


def _count(text: bytes) -> int | None:
    try:
        count = int(text)
    except ValueError:
        return None
    return count if 0 <= count < 1 << 31 else None


def _sort(call: list[bytes]) -> Found:
    """SORT: the key, and what the last STORE names."""
    found: Found = [(1, ["RO", "access"])]
    skipped = {b"limit": 2, b"get": 1, b"by": 1}
    store = 0
    place = 2
    while place < len(call):
        word = call[place].lower()
        if word == b"store" and place + 1 < len(call):
            store = place + 1
            place += 1
        else:
            place += skipped.get(word, 0)
        place += 1
    if store:
        found.append((store, ["OW", "update"]))
    return found


def _set(call: list[bytes]) -> Found:
    reads = any(word.lower() == b"get" for word in call[3:])
    return [(1, ["RW", "access", "update"] if reads else ["OW", "update"])]


def _bitfield(call: list[bytes]) -> Found:
    place = 2
    while place < len(call):
        word = call[place].lower()
        if word not in (b"get", b"overflow"):
            return [(1, ["RW", "access", "update"])]
        place += 3 if word == b"get" else 2
    return [(1, ["RO", "access"])]


def _migrate(call: list[bytes]) -> Found | None:
    """MIGRATE: what follows KEYS if the one key is empty; None where both are given."""
    flags = ["RW", "access", "delete"]
    skipped = {b"auth": 1, b"auth2": 2}
    place = 6
    while place < len(call):
        word = call[place].lower()
        if word == b"keys":
            return None if call[3] else [(key, flags) for key in range(place + 1, len(call))]
        place += 1 + skipped.get(word, 0)
    return [(3, flags)]


_SPECIAL = {"sort": _sort, "set": _set, "bitfield": _bitfield, "migrate": _migrate}
