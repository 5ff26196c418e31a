"""Sets of hash slots: a number whose bit n stands for slot n.

Such a set is a value: compared, united and counted in one step, and its bytes in
little-endian order are the bitmap of the bus. Not here: who owns a slot (`model`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

SLOTS: Final = 16384
BITMAP_BYTES: Final = SLOTS // 8
ALL: Final = (1 << SLOTS) - 1
_RUN: Final = re.compile("1+")


def of_range(first: int, last: int) -> int:
    """Return the set of the slots from first to last, both included."""
    return ((1 << (last - first + 1)) - 1) << first


def of_slots(slots: Iterable[int]) -> int:
    """Return the set of these slots."""
    bitmap = bytearray(BITMAP_BYTES)
    for slot in slots:
        bitmap[slot >> 3] |= 1 << (slot & 7)
    return int.from_bytes(bitmap, "little")


def members(slots: int) -> Iterator[int]:
    """Go through the slots of a set in order."""
    for first, last in ranges(slots):
        yield from range(first, last + 1)


@lru_cache(maxsize=256)  # the same few sets are told again and again
def ranges(slots: int) -> tuple[tuple[int, int], ...]:
    """Return the runs of a set: first and last slot of each."""
    # As text: to shift a number of 16,384 bits once a run costs eight times as much.
    below = max((slots & -slots).bit_length() - 1, 0)
    runs = _RUN.finditer(f"{slots >> below:b}"[::-1])
    return tuple((below + run.start(), below + run.end() - 1) for run in runs)


def to_bitmap(slots: int) -> bytes:
    """Return the 2048 bytes that the bus carries."""
    return slots.to_bytes(BITMAP_BYTES, "little")


def from_bitmap(bitmap: bytes) -> int:
    """Read the 2048 bytes that the bus carries."""
    return int.from_bytes(bitmap, "little")
