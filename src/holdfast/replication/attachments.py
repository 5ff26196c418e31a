"""The primary's view of its replicas: who waits for a snapshot, which one serves whom, who is good.

What this is: one frozen `Attachment` per replica and pure decisions over all of
them: which snapshot to start now and for whom (`next_snapshot`), who may join one
that is already being written (`can_join`), who is good enough for
`min-replicas-to-write`, who has timed out, and the words of INFO.

What this is not: the snapshot itself, sockets, the stream (`backlog` keeps it: a
waiting replica owns a reader from the snapshot's offset on).

How to read it: `Stage`, `Attachment`, `SyncSettings`, then the decisions.

Rules of the line: replicas are served in the order in which they asked; at most
`max_concurrent_syncs` transfers run at once; one snapshot serves every waiting
replica that can take it and for whom there is room. A diskless snapshot waits
`diskless_delay_ms` from the first request for others to come, or until
`diskless_max_replicas` wait. A disk snapshot that has been started with the stream
kept since serves late comers too; a diskless one cannot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Stage(Enum):
    """Where a replica stands. The word is what INFO shows for it."""

    HANDSHAKING = "handshake"
    WAITING = "wait_bgsave"
    SNAPSHOTTING = "wait_bgsave_end"
    """The snapshot that serves it is being written to disk."""
    SENDING = "send_bulk"
    ONLINE = "online"

    @property
    def word_in_info(self) -> str:
        """Return the protocol's word: Redis shows both waits as one."""
        return Stage.WAITING.value if self is Stage.SNAPSHOTTING else self.value


class Attachment(NamedTuple):
    """One replica as its primary knows it."""

    name: str
    stage: Stage = Stage.HANDSHAKING
    asked_at_ms: int = 0
    """When it asked for a full resync: its place in the line."""
    knows_eof: bool = False
    knows_psync2: bool = False
    node_id: str = ""
    """Set if it is one of ours and told who it is."""
    acknowledged_offset: int = 0
    last_heard_ms: int = 0


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """What the configuration says."""

    diskless: bool = True
    diskless_delay_ms: int = 5000
    diskless_max_replicas: int = 0
    """Start at once when so many wait; 0: never before the delay."""
    max_concurrent_syncs: int = 0
    """Transfers that may run at once; 0: no limit."""
    timeout_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class StartSnapshot:
    """Begin one snapshot for these replicas, in the order of the line."""

    replicas: tuple[str, ...]
    diskless: bool


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing to start before this moment, unless another replica comes; None: not until something ends."""

    at_ms: int | None
    reason: str


def line_of(attachments: Iterable[Attachment]) -> list[Attachment]:
    """Return those that wait for a snapshot, first come first."""
    waiting = [each for each in attachments if each.stage is Stage.WAITING]
    return sorted(waiting, key=lambda each: (each.asked_at_ms, each.name))


def next_snapshot(
    attachments: Iterable[Attachment], settings: SyncSettings, is_child_running: bool, now_ms: int
) -> StartSnapshot | WaitUntil:
    """Decide whether to start a snapshot now, and for whom."""
    everyone = list(attachments)
    line = line_of(everyone)
    if not line:
        return WaitUntil(None, "no replica waits")
    if is_child_running:
        return WaitUntil(None, "another snapshot is being written")
    room = _room(everyone, settings)
    if room == 0:
        return WaitUntil(None, f"{settings.max_concurrent_syncs} syncs run already")
    diskless = settings.diskless and line[0].knows_eof
    able = [each for each in line if each.knows_eof or not diskless]
    if diskless and settings.diskless_delay_ms:
        enough = 0 < settings.diskless_max_replicas <= len(able)
        starts_at_ms = line[0].asked_at_ms + settings.diskless_delay_ms
        if not enough and now_ms < starts_at_ms:
            return WaitUntil(starts_at_ms, "other replicas may come")
    return StartSnapshot(tuple(each.name for each in able[:room]), diskless)


def can_join(
    newcomer: Attachment, running: StartSnapshot, everyone: Iterable[Attachment], room_for: int
) -> bool:
    """Tell whether a replica may be served by a snapshot that is already being written.

    Only one on disk can serve it, with the stream kept since its beginning for someone who still waits
    for it; and not past those who stand in line before it.
    """
    line = line_of(everyone)
    is_kept = any(each.name in running.replicas and each.stage is Stage.SNAPSHOTTING for each in everyone)
    is_first = not line or line[0].name == newcomer.name
    return not running.diskless and is_kept and is_first and room_for > 0


def room_left(attachments: Iterable[Attachment], settings: SyncSettings) -> int:
    """Return how many more transfers may run; a large number where there is no limit."""
    return _room(list(attachments), settings)


def good_replicas(attachments: Iterable[Attachment], max_lag_ms: int, now_ms: int) -> int:
    """Count those that `min-replicas-to-write` counts: online, heard within the lag."""
    return sum(
        1 for each in attachments if each.stage is Stage.ONLINE and now_ms - each.last_heard_ms <= max_lag_ms
    )


def writes_are_allowed(attachments: Iterable[Attachment], minimum: int, max_lag_ms: int, now_ms: int) -> bool:
    """Tell whether a write may run under `min-replicas-to-write`; 0 of either turns the check off."""
    return not minimum or not max_lag_ms or good_replicas(attachments, max_lag_ms, now_ms) >= minimum


def holders_of(attachments: Iterable[Attachment], offset: int) -> int:
    """Count the online replicas that acknowledged an offset, as WAIT does."""
    return sum(1 for each in attachments if each.stage is Stage.ONLINE and each.acknowledged_offset >= offset)


def timed_out(attachments: Iterable[Attachment], settings: SyncSettings, now_ms: int) -> list[str]:
    """Return the replicas to disconnect: online or receiving a snapshot, and silent for too long."""
    watched = (Stage.ONLINE, Stage.SENDING)
    return [
        each.name
        for each in attachments
        if each.stage in watched and now_ms - each.last_heard_ms > settings.timeout_ms
    ]


def members_to_add(attachments: Iterable[Attachment], members: frozenset[str]) -> list[str]:
    """Return node ids that could join the member set: ours, online, not in it yet."""
    return sorted(
        {each.node_id for each in attachments if each.node_id and each.stage is Stage.ONLINE} - members
    )


def _room(everyone: list[Attachment], settings: SyncSettings) -> int:
    running = sum(1 for each in everyone if each.stage in (Stage.SNAPSHOTTING, Stage.SENDING))
    return (
        max(0, settings.max_concurrent_syncs - running)
        if settings.max_concurrent_syncs
        else len(everyone) + 1
    )
