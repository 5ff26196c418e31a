"""How much is moved at a time: so much that it is fast, so little that no client waits long. Pure.

A stock source and target answer nobody while a MIGRATE runs. So what is sent in one piece is
measured in time: the cost of keys and bytes is estimated, and the estimate is corrected by what
each piece took. Many small keys travel together; a huge one travels alone, and takes what it takes.

How to read it: `Pace.pieces` packs keys; `Pace.took` learns; `windows` says how many slots are open
at once; `Allowance` is the rate limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

BUDGET_MS = 5.0
"""What one piece may take. A client's longest wait is about twice this."""
WINDOW_SLOTS = 128
WINDOW_KEYS = 1000
WINDOW_MS = 150.0
"""Slots that are open at once: while one is, a request for several of its keys may have to be
tried again (TRYAGAIN), so no more are opened than are moved in a moment."""
KEYS_MOST = 200
"""Keys of one MIGRATE."""


@dataclass(frozen=True)
class Key:
    """A key that is to travel."""

    slot: int
    name: bytes
    size_bytes: int


@dataclass
class Pace:
    """What moving costs between two nodes, as far as it was seen."""

    budget_ms: float = BUDGET_MS
    call_ms: float = 0.15
    key_ms: float = 0.01
    megabyte_ms: float = 12.0
    factor: float = 1.0
    """What was seen, by what was expected."""

    def expected_ms(self, keys: Sequence[Key]) -> float:
        """Estimate one MIGRATE of these keys."""
        return self.factor * self._plain_ms(keys)

    def took(self, piece: Sequence[Sequence[Key]], spent_ms: float) -> None:
        """Learn from a piece: sooner that it is slow than that it is fast."""
        plain = sum(map(self._plain_ms, piece))
        seen = spent_ms / plain
        share = 0.5 if seen > self.factor else 0.3
        self.factor = min(max(self.factor + share * (seen - self.factor), 0.2), 50.0)

    def pieces(self, keys: Iterable[Key]) -> Iterator[list[list[Key]]]:
        """Pack keys: each piece is a list of MIGRATEs that are sent together, each of one slot's keys."""
        piece: list[list[Key]] = []
        spent = 0.0
        for key in keys:
            joins = bool(piece) and piece[-1][-1].slot == key.slot and len(piece[-1]) < KEYS_MOST
            cost = self.factor * (self._key_ms(key) + (0 if joins else self.call_ms))
            if piece and spent + cost > self.budget_ms:
                yield piece
                piece, spent, joins = [], 0.0, False
            if joins:
                piece[-1].append(key)
            else:
                piece.append([key])
            spent += cost
        if piece:
            yield piece

    def _plain_ms(self, keys: Sequence[Key]) -> float:
        return self.call_ms + sum(map(self._key_ms, keys))

    def _key_ms(self, key: Key) -> float:
        return self.key_ms + key.size_bytes * self.megabyte_ms / 1e6


def window_keys(pace: Pace, average_bytes: float) -> int:
    """Say how many keys of this size may be in slots that are opened together."""
    each_ms = pace.expected_ms([Key(0, b"", int(average_bytes))] * 10) / 10
    return max(1, min(WINDOW_KEYS, int(WINDOW_MS / each_ms)))


def windows(slots: Sequence[int], keys: Sequence[int], keys_most: int = WINDOW_KEYS) -> list[tuple[int, ...]]:
    """Divide slots (with their numbers of keys) into those that are opened together."""
    made: list[tuple[int, ...]] = []
    window: list[int] = []
    held = 0
    for slot, count in zip(slots, keys, strict=True):
        if window and (len(window) == WINDOW_SLOTS or held + count > keys_most):
            made.append(tuple(window))
            window, held = [], 0
        window.append(slot)
        held += count
    return [*made, tuple(window)] if window else made


@dataclass
class Allowance:
    """A rate limit in keys a second (0: none); a quarter of a second may be spent at once."""

    keys_per_s: float = 0.0
    _owed: float = field(default=0.0, repr=False)
    _at: float = field(default=0.0, repr=False)

    def spend(self, keys: int, now: float) -> float:
        """Take keys from the allowance; return how many seconds to wait before they may go."""
        if not self.keys_per_s:
            return 0.0
        self._owed = max(0.0, self._owed - (now - self._at) * self.keys_per_s)
        self._at = now
        wait = max(0.0, self._owed / self.keys_per_s - 0.25)
        self._owed += keys
        return wait
