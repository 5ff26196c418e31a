"""Who leads a group, by what its Sentinels say.

What it is: the decision, over plain values: each Sentinel names an address and the
configuration epoch that it has it from; the highest epoch is right, for a Sentinel
that was cut off still names the old primary with the old epoch. What it is not: the
proof. The server named has to say itself that it is a primary
before a request goes there.

What is out of reach still counts while nobody in reach says anything: a proxy that
lost its Sentinels keeps its primary, and comes back to it.
"""

from __future__ import annotations

from dataclasses import dataclass

Address = tuple[str, int]


@dataclass(frozen=True)
class Word:
    """What one Sentinel said last."""

    address: Address
    epoch: int
    in_reach: bool = True


class GroupView:
    """The words of all Sentinels about one group."""

    def __init__(self) -> None:
        self.words: dict[str, Word] = {}

    def told(self, sentinel: str, address: Address, epoch: int) -> None:
        """Take what a Sentinel says."""
        self.words[sentinel] = Word(address, epoch)

    def lost(self, sentinel: str) -> None:
        """A Sentinel is out of reach."""
        word = self.words.get(sentinel)
        if word is not None and word.in_reach:
            self.words[sentinel] = Word(word.address, word.epoch, False)

    def forget(self, sentinel: str) -> None:
        """A Sentinel does not watch this group."""
        self.words.pop(sentinel, None)

    def choice(self, current: Address | None = None) -> Address | None:
        """Return who leads: the highest epoch, then most voices, then who led; None: nobody said anything."""
        said = [each for each in self.words.values() if each.in_reach] or list(self.words.values())
        if not said:
            return None
        newest = max(each.epoch for each in said)
        voices: dict[Address, int] = {}
        for each in said:
            if each.epoch == newest:
                voices[each.address] = voices.get(each.address, 0) + 1
        return max(sorted(voices), key=lambda address: (voices[address], address == current))


@dataclass(frozen=True)
class ReplicaWord:
    """A replica as a Sentinel describes it."""

    address: Address
    usable: bool


def replica_of(fields: dict[str, str]) -> ReplicaWord:
    """Judge one entry of SENTINEL REPLICAS."""
    flags = set(fields.get("flags", "").split(","))
    usable = not flags & {"s_down", "o_down", "disconnected", "master"} and "slave" in flags
    usable = usable and fields.get("master-link-status", "ok") == "ok"
    return ReplicaWord((fields["ip"], int(fields["port"])), usable)


def is_primary(role: object) -> bool:
    """Judge a reply to ROLE."""
    return isinstance(role, list) and bool(role) and role[0] == b"master"


HANDS_OVER = "+failover-state-send-slaveof-noone"
"""The event that comes before a replica is promoted: what the primary takes from now on may be lost."""
HANDED_OVER = ("+switch-master", "+promoted-slave", "+failover-end")


def ends_hand_over(event: str) -> bool:
    """Judge whether an event ends a hand-over, one way or the other."""
    return event in HANDED_OVER or event.startswith("-failover-abort")


def group_of_event(told: str) -> str:
    """Return the group that an event is about: "slave name ip port @ group ...", "master group ..."."""
    words = told.split()
    if "@" in words[:-1]:
        return words[words.index("@") + 1]
    if words[:1] == ["master"] and len(words) > 1:
        return words[1]
    return words[0] if words else ""  # +switch-master
