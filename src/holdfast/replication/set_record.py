"""The set record: which members must hold a write, written into the stream itself.

What this is: the values that positions and promises are made of. A *position*
is how far a copy reaches, as (epoch of the last stream record it holds,
offset); a *member set* is R node ids and the N of them that must hold a write;
a *set record* names the newest member set and every earlier one that is not yet
known to be replaced. The record travels in the replication stream as the
argument of a PING, which any replica counts and ignores, and in the RDB file as
an auxiliary field, so every copy knows the sets that bind it. Nothing else
defines R and N: not INFO, not a configuration file, not a manager's memory.

What this is not: the counting of acknowledgements (`gate`) or the choice of a
node to promote (`promotion`); both read these values.

How to read it: `Position`, `MemberSet` with its two quorums, `SetRecord` with its
text form, then `first_record`, which a new primary writes before anything else.

The two quorums of one set intersect: N members hold a write, R - N + 1 answer
before a promotion, and N + (R - N + 1) > R. A set with N = 0 promises nothing,
so one member may be promoted; to make a promise that starts from there hold, the
record that replaces such a set must first be held by all of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

RDB_FIELD = "holdfast-set"
"""Name of the auxiliary field that carries the record in an RDB file."""

_PREFIX = "holdfast-set:1:"
_ID_CHARACTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.")


class Position(NamedTuple):
    """How far a copy reaches. Compares by epoch first; offsets alone are never compared."""

    epoch: int
    offset: int


NOWHERE = Position(0, 0)
"""The position of an empty copy, or of one that is not known yet."""


class SetRecordError(ValueError):
    """The text is not a set record."""


@dataclass(frozen=True, slots=True)
class MemberSet:
    """R members of which N must hold a write. Invariant: 0 <= needed <= len(members)."""

    members: frozenset[str]
    needed: int

    def __post_init__(self) -> None:
        if not 0 <= self.needed <= len(self.members):
            raise SetRecordError(f"{self.needed} of {len(self.members)} members cannot acknowledge")

    @property
    def promotion_quorum(self) -> int:
        """Return how many members must be fenced before a promotion: R - N + 1, and none where N is 0.

        With N = 0 nothing intersects, and any intact copy may lead (rule 11). To ask for a member
        would leave nobody to lead once all that the last promotion knew of are gone for good.
        """
        return len(self.members) - self.needed + 1 if self.needed else 0

    def holders_needed(self, is_newest: bool) -> int:
        """Return how many members must hold a write or record: N; all of an earlier set whose N was 0."""
        if self.needed or is_newest:
            return self.needed
        return len(self.members)


@dataclass(frozen=True, slots=True)
class SetRecord:
    """One record: who wrote it in which epoch, and the sets that bind, newest first."""

    epoch: int
    primary: str
    sets: tuple[MemberSet, ...]

    @property
    def newest(self) -> MemberSet:
        """Return the set that the primary wants in force."""
        return self.sets[0]

    @property
    def is_joint(self) -> bool:
        """Tell whether earlier sets still bind."""
        return len(self.sets) > 1

    @property
    def is_binding(self) -> bool:
        """Tell whether any of the sets needs acknowledgements."""
        return any(each.needed for each in self.sets)

    @property
    def everyone(self) -> frozenset[str]:
        """Return every node the record names: all members and the primary that wrote it."""
        return frozenset({self.primary}).union(*(each.members for each in self.sets))

    def alone(self) -> SetRecord:
        """Return the record that follows once this one is in force: the newest set and no other."""
        return SetRecord(self.epoch, self.primary, self.sets[:1])

    def changed_to(self, newest: MemberSet) -> SetRecord:
        """Return the joint record that starts a change to `newest`."""
        return SetRecord(self.epoch, self.primary, _once_each((newest, *self.sets)))

    def encode(self) -> bytes:
        """Return the text form, one word without spaces."""
        sets = ";".join(f"{each.needed}={','.join(sorted(each.members))}" for each in self.sets)
        return f"{_PREFIX}{self.epoch}:{self.primary}:{sets}".encode()

    def as_command(self) -> bytes:
        """Return the RESP bytes that go into the replication stream."""
        text = self.encode()
        return b"*2\r\n$4\r\nPING\r\n$%d\r\n%s\r\n" % (len(text), text)


def decode_set_record(text: bytes) -> SetRecord | None:
    """Return the record in a PING's argument or auxiliary field, None if it is some other text.

    Raises SetRecordError if it claims to be a record and is not one.
    """
    if not text.startswith(_PREFIX.encode()):
        return None
    try:
        epoch, primary, sets = text.decode("ascii")[len(_PREFIX) :].split(":")
        bound = tuple(_member_set(each) for each in sets.split(";"))
        return SetRecord(_count(epoch), _node_id(primary), bound)
    except ValueError as error:
        raise SetRecordError(f"broken set record {text[:200]!r}: {error}") from error


def first_record(
    own_id: str, epoch: int, inherited: SetRecord | None, needed: int, members: Iterable[str] = ()
) -> SetRecord:
    """Return what a new primary writes first, so that its epoch is in its stream.

    The new set is `members`, or by default the inherited one with the old primary
    in and itself out. Every set that binds in its stream stays until the record is
    in force. Raises SetRecordError where the new set would have fewer than N members.
    """
    chosen = frozenset(members) - {own_id}
    if inherited is None:
        return SetRecord(epoch, own_id, (MemberSet(chosen, needed),))
    chosen = chosen or (inherited.newest.members | {inherited.primary}) - {own_id}
    return SetRecord(epoch, own_id, _once_each((MemberSet(chosen, needed), *inherited.sets)))


def _once_each(sets: Iterable[MemberSet]) -> tuple[MemberSet, ...]:
    return tuple(dict.fromkeys(sets))


def _member_set(text: str) -> MemberSet:
    needed, _, members = text.partition("=")
    ids = [_node_id(each) for each in members.split(",")] if members else []
    if len(set(ids)) != len(ids):
        raise ValueError("a member is named twice")
    return MemberSet(frozenset(ids), _count(needed))


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 19:
        raise ValueError(f"{text[:30]!r} is not a count")
    return int(text)


def _node_id(text: str) -> str:
    if not text or not _ID_CHARACTERS.issuperset(text):
        raise ValueError(f"{text[:60]!r} is not a node id")
    return text
