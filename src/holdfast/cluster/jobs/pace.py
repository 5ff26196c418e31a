"""How much is moved at a time: so much that it is fast, so little that no client waits long. Pure.

A stock source and target answer nobody while a MIGRATE runs. So what is sent in one piece is
measured in time: the cost of keys and bytes is estimated, and the estimate is corrected by what
each piece took. Many small keys travel together; a huge one travels alone, and takes what it takes.

How to read it: `Pace.pieces` packs keys; `Pace.took` learns; `Windows` says how many slots are open
at once; `Allowance` is the rate limit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

BUDGET_MS = 5.0
"""What one piece may take. A client's longest wait is about twice this."""
WINDOW_MS = 60.0
"""How long slots should be open. Meanwhile a request for several of their keys, of which one does not
exist, is refused (TRYAGAIN); clients try it again for some tenths of a second (redis-py: 0.35 s)."""
WINDOW_SLOTS_LEAST, WINDOW_SLOTS_FIRST, WINDOW_SLOTS_MOST = 12, 48, 128
WINDOW_KEYS = 1000
FREE_S = 0.25
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


@dataclass
class Windows:
    """Slots of one move, handed out in windows whose size follows how long the last ones were open."""

    slots: deque[tuple[int, int]]
    """Slot, and how many keys it has."""
    size: int = WINDOW_SLOTS_FIRST

    @classmethod
    def of(cls, slots: Iterable[int], keys: Iterable[int]) -> Windows:
        """Return windows of slots and their numbers of keys."""
        return cls(deque(zip(slots, keys, strict=True)))

    def take(self) -> tuple[int, ...]:
        """Return the slots that are moved together next; none: all were taken."""
        window: list[int] = []
        held = 0
        while self.slots and len(window) < self.size:
            slot, keys = self.slots[0]
            if window and held + keys > WINDOW_KEYS:
                break
            window.append(slot)
            held += keys
            self.slots.popleft()
        return tuple(window)

    def were_open(self, slots: int, open_ms: float) -> None:
        """Learn how long slots were open, from the first mark at the source to the claim."""
        by = min(max(WINDOW_MS / max(open_ms, 1.0), 0.4), 2.0)
        # A window that was cut short by its keys tells nothing of how many slots would fit.
        if by < 1.0 or slots >= self.size:
            self.size = int(min(max(slots * by, WINDOW_SLOTS_LEAST), WINDOW_SLOTS_MOST))


@dataclass
class Allowance:
    """A rate limit in keys a second (0: none); a quarter of a second may be spent at once.

    What goes has been paid for: keys wait for those before them, and for themselves.
    """

    keys_per_s: float = 0.0
    _owed: float = field(default=0.0, repr=False)
    """Keys that are not paid for; below 0: what was paid for and did not go."""
    _at: float = field(default=0.0, repr=False)

    def spend(self, keys: int, now: float) -> float:
        """Take keys from the allowance; return how many seconds to wait before they may go."""
        if not self.keys_per_s:
            return 0.0
        self._let_pass(now)
        self._owed += keys
        return max(0.0, self._owed / self.keys_per_s - FREE_S)

    def give_back(self, keys: int, now: float) -> None:
        """Take back keys that were waited for and did not go: so many need not be waited for again."""
        self._let_pass(now)
        self._owed -= keys

    def _let_pass(self, now: float) -> None:
        if self._owed > 0:
            self._owed = max(0.0, self._owed - (now - self._at) * self.keys_per_s)
        self._at = now
