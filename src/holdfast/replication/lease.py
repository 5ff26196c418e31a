"""The lease: a primary that Sentinels watch takes writes only while most of them grant it.

What this is: the decisions of one node, pure. A grant is a round trip: the node's answer
carries a token, which is its own clock; the Sentinel's next message returns it with the
node's run id and epoch, and the grant ends `lease_ms` after the token. So bytes that were
merely received renew nothing: a process that was stopped for 15 s reads grants whose
tokens are 15 s old.

What this is not: the Sentinel's side (`holdfast.sentinel.granting`), the refusing and the
holding (`lease_keeper`), grants of replicas (`replica_grants`).

How to read it: `VoterList`, `Grant` with its wire form, then `Lease`.

The voters are a numbered list, and the primary is the only one that writes it: so numbers
(epoch of the primary, step) are never given twice. Sentinels tell what they wish; what a
majority of the list wishes the primary does, one voter at a time. Every Sentinel keeps the
highest list it has seen on disk, says its number with each grant and each vote, and nobody
counts the vote of a voter whose list is higher than his own.

Rules:
- Only a token that this very process gave out counts; a restart has no grant.
- A grant below the node's epoch counts nothing: its sender does not know who leads.
- The lease holds while a majority of the list has granted under this very list. While a list
  replaces another one, it needs a majority of each; it is alone in force when a majority of
  each has told its number.
- A new primary takes the highest list that it is told, and when a majority of that list has told
  it too, so that it is the last one, writes it again under its own epoch, before anything else.
- The first list needs the same wish of everybody who is in it.
- Voters are never forgotten by age. Fewer than three make no lease; a majority may decline it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

VOTERS_MIN = 3
VOTERS_MAX = 99
LEASE_MAX_MS = 60_000
TOKEN_PLACE = 4
VOTERS, WISH, NODES = "VOTERS", "WISH", "NODES"
Number = tuple[int, int]


class GrantError(ValueError):
    """The words are no grant; the text is the error to send."""


class VoterList(NamedTuple):
    """Who votes and grants. `epoch` and `step` number the list; (0, 0): there is none."""

    epoch: int = 0
    step: int = 0
    ids: frozenset[str] = frozenset()

    @property
    def number(self) -> Number:
        """Lists compare by this."""
        return self.epoch, self.step

    @property
    def majority(self) -> int:
        """How many decide."""
        return len(self.ids) // 2 + 1


class Grant(NamedTuple):
    """What a Sentinel says; token 0 grants nothing yet.

    HOLDFAST LEASE sentinel lease-ms epoch run-id token list-epoch list-step
    [VOTERS id ...] [WISH id ...] [NODES id ...]
    """

    sentinel: str
    lease_ms: int
    epoch: int
    run_id: str
    token_us: int
    voters: VoterList
    wish: frozenset[str] = frozenset()
    """The list as the Sentinel wants it; empty: as it is."""
    nodes: frozenset[str] = frozenset()
    """Every node of data that it could promote; "?" stands for one that is not ours."""


def parse_grant(words: Sequence[str]) -> Grant:
    """Read the words after HOLDFAST LEASE. Raises GrantError."""
    if len(words) < 7 or len(words) > 7 + 3 * (VOTERS_MAX + 1):
        raise GrantError("ERR wrong number of arguments for 'holdfast|lease' command")
    numbers = [words[place] for place in (1, 2, 4, 5, 6)]
    if not all(each.isascii() and each.isdecimal() and len(each) < 19 for each in numbers):
        raise GrantError("ERR value is not an integer or out of range")
    lease_ms, epoch, token_us, list_epoch, step = map(int, numbers)
    voters, wish, nodes = _sections(tuple(words[7:]))
    if lease_ms > LEASE_MAX_MS or bool(voters) != bool(list_epoch or step):
        raise GrantError("ERR broken grant")
    return Grant(
        words[0], lease_ms, epoch, words[3], token_us, VoterList(list_epoch, step, voters), wish, nodes
    )


@lru_cache(maxsize=64)  # twenty times a second the same from each Sentinel
def _sections(words: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Return the words behind VOTERS, WISH and NODES. Raises GrantError."""
    named: dict[str, set[str]] = {VOTERS: set(), WISH: set(), NODES: set()}
    section: set[str] | None = None
    for word in words:
        if word in named:
            section = named[word]
        elif section is None or not word:
            raise GrantError("ERR broken grant")
        else:
            section.add(word)
    return frozenset(named[VOTERS]), frozenset(named[WISH]), frozenset(named[NODES])


class _Repeated(NamedTuple):
    """What a Sentinel said, around its token, and when saying it again changes nothing but the end."""

    before: list[bytes]
    after: list[bytes]
    grant: Grant
    terms: tuple[int, int, bool]
    """The version of the lease, the node's epoch, and whether it leads."""


class Lease:
    """The lease of one process, and the list of its voters."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self.voters = VoterList()
        self.before: VoterList | None = None
        """The list that `voters` is about to replace: both bind."""
        self.is_in_force = False
        """A majority has told the number of the list, or of one before it."""
        self.lease_ms = 0
        """What the Sentinels last said."""
        self.nodes: frozenset[str] = frozenset()
        self.ends_us = 0
        """When the lease ends, as things stand."""
        self._until: dict[str, tuple[int, Number]] = {}
        self._told: dict[str, Number] = {}
        self._wishes: dict[str, frozenset[str]] = {}
        self._declining: set[str] = set()
        self._version = 0
        """Changes with everything that a grant can change, but for the ends."""
        self._repeated: dict[bytes, _Repeated] = {}
        """By Sentinel, what changed nothing when it was said last."""

    @property
    def is_on(self) -> bool:
        """Whether writes need a lease."""
        return (
            self.is_in_force
            and len(self.voters.ids) >= VOTERS_MIN
            and len(self._declining & self.voters.ids) < self.voters.majority
        )

    def holds(self, now_us: int) -> bool:
        """Tell whether writes may run, by the Sentinels' grants."""
        return not self.is_on or now_us < self.ends_us

    def hear(self, said: Sequence[bytes], epoch: int, leads: bool, now_us: int) -> frozenset[str] | None:
        """Take the words after HOLDFAST LEASE; return the nodes they name, None: the same as the last time.

        Raises GrantError. Nearly all grants differ from their Sentinel's last one by the token alone, and
        where that one changed nothing but the end, so does this.
        """
        known = self._repeated.get(said[0]) if said else None
        if known is not None and known.terms == (self._version, epoch, leads):
            token = said[TOKEN_PLACE] if len(said) > TOKEN_PLACE else b""
            is_number = token.isdigit() and len(token) < 19
            if is_number and known.before == said[:TOKEN_PLACE] and known.after == said[TOKEN_PLACE + 1 :]:
                self._extend(known.grant, int(token), epoch, now_us)
                self._reckon()
                return None
        grant = parse_grant([each.decode("latin-1") for each in said])
        before = self._terms(grant.sentinel)
        self.take(grant, epoch, leads, now_us)
        self._repeated.pop(said[0], None)
        if self._terms(grant.sentinel) != before:
            self._version += 1
        else:
            terms = (self._version, epoch, leads)
            head, tail = list(said[:TOKEN_PLACE]), list(said[TOKEN_PLACE + 1 :])
            self._repeated[said[0]] = _Repeated(head, tail, grant, terms)
        return grant.nodes

    def _terms(self, sentinel: str) -> tuple[object, ...]:
        """Return what a grant of this Sentinel can change, but for the ends."""
        return (
            (self.voters, self.before, self.is_in_force, self.lease_ms, self.nodes),
            self._told.get(sentinel),
            self._wishes.get(sentinel),
            sentinel in self._declining,
        )

    def take(self, grant: Grant, epoch: int, leads: bool, now_us: int) -> None:
        """Take a grant, or what is no grant yet; `leads`: this node is the primary of `epoch`."""
        self._note(grant)
        is_own = leads and bool(self.voters.ids) and self.voters.epoch >= epoch
        if grant.voters.number > self.voters.number and not is_own:
            self.voters, self.before, self.is_in_force = grant.voters, None, True
        if leads:
            self._write_list(epoch)
        self._extend(grant, grant.token_us, epoch, now_us)
        self._settle()

    def _extend(self, grant: Grant, token_us: int, epoch: int, now_us: int) -> None:
        fresh = 0 < token_us <= now_us and grant.run_id == self._run_id
        if fresh and grant.epoch >= epoch and grant.lease_ms:
            until_us = token_us + grant.lease_ms * 1000
            until_us = max(until_us, self._until.get(grant.sentinel, (0, (0, 0)))[0])
            self._until[grant.sentinel] = until_us, grant.voters.number

    def _note(self, grant: Grant) -> None:
        sentinel = grant.sentinel
        self._told[sentinel] = grant.voters.number
        self._wishes[sentinel] = grant.wish or grant.voters.ids
        if grant.lease_ms:
            self.lease_ms = grant.lease_ms
            self._declining.discard(sentinel)
        else:
            self._declining.add(sentinel)
            self._until.pop(sentinel, None)
        if grant.nodes:
            self.nodes |= grant.nodes

    def _write_list(self, epoch: int) -> None:
        """Number the list anew, or change it by one, if it is time."""
        voters = self.voters
        if not voters.ids:
            for wish in self._wishes.values():
                if len(wish) >= VOTERS_MIN and all(self._wishes.get(each) == wish for each in wish):
                    self.voters = VoterList(epoch, 1, wish)
                    return
        elif voters.epoch < epoch and not self._has_told(voters, voters.number):
            return  # who tells an older list than a majority does may be told first
        elif voters.epoch < epoch:
            self.before, self.voters = voters, VoterList(epoch, 1, voters.ids)
        elif self.is_in_force and self.before is None and self._has_told(voters, voters.number):
            changed = self._wished_change()
            if changed is not None:
                self.before, self.voters = voters, VoterList(epoch, voters.step + 1, changed)

    def _wished_change(self) -> frozenset[str] | None:
        """Return the list with one voter more or less that a majority of it wishes."""
        voters = self.voters
        wishes = [self._wishes[each] for each in voters.ids if each in self._wishes]
        if all(wish == voters.ids for wish in wishes):
            return None
        for each in sorted(frozenset().union(*wishes, voters.ids) if wishes else voters.ids):
            is_in = each in voters.ids
            if sum((each in wish) is not is_in for wish in wishes) >= voters.majority:
                if not is_in and len(voters.ids) >= VOTERS_MAX:
                    continue
                return voters.ids ^ {each}
        return None

    def _has_told(self, voters: VoterList, number: Number) -> bool:
        return sum(self._told.get(each) == number for each in voters.ids) >= voters.majority

    def _settle(self) -> None:
        number = self.voters.number
        lists = [self.voters] if self.before is None else [self.voters, self.before]
        if self.voters.ids and all(self._has_told(each, number) for each in lists):
            self.before, self.is_in_force = None, True
        self._reckon()

    def _reckon(self) -> None:
        if self.before is None:
            self.ends_us = self._end(self.voters, (self.voters.number,))
            return
        allowed = (self.voters.number, self.before.number)
        self.ends_us = min(self._end(self.voters, allowed), self._end(self.before, allowed))

    def _end(self, voters: VoterList, allowed: Collection[Number]) -> int:
        """Return until when a majority of a list has granted under one of the lists that bind."""
        granted = [self._until[each] for each in voters.ids if each in self._until]
        ends = sorted([until for until, number in granted if number in allowed], reverse=True)
        return ends[voters.majority - 1] if len(ends) >= voters.majority else 0

    def drop(self) -> None:
        """Forget all grants: the node leads no more. The list stays."""
        self._until.clear()
        self._wishes.clear()
        self._told.clear()
        self.before, self.ends_us = None, 0
        self._version += 1
