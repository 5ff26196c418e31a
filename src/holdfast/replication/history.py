"""Replication ids and offsets: which history a copy belongs to, and whether a link can go on.

What this is: the identity of a stream (id, second id up to an offset), what happens
to it at promotion, restart and resync, and the PSYNC decision on both sides.

What this is not: positions with epochs (`set_record`), which decide promotions; a
replication id only says whether bytes at one offset are the same bytes.

How to read it: `History` and its changes, then the primary's `psync_decision`, then
the replica's `psync_request` and `read_psync_reply`.

Offsets count bytes of the stream: `offset` is the last byte this copy has. PSYNC
asks for the first byte wanted, which is one more (Redis: replication.c).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

ID_LENGTH = 40
FORMER_FIELD = "holdfast-former"
FORMER_MOST = 6
"""A mark in the append-only file has room for so many."""
NO_ID = "0" * ID_LENGTH
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class History:
    """Who wrote the stream that this copy holds, and up to where."""

    replication_id: str
    offset: int = 0
    second_id: str = NO_ID
    second_valid_up_to: int = -1
    """The first byte that is *not* the second id's; PSYNC may ask for it. -1: there is no second id."""
    stream_database: int = 0
    """The database that the stream had selected at `offset`."""

    def promoted(self, new_id: str) -> History:
        """Begin to write: the old id becomes the second one, valid up to here."""
        return replace(
            self, replication_id=new_id, second_id=self.replication_id, second_valid_up_to=self.offset + 1
        )

    def without_past(self, new_id: str) -> History:
        """Begin a history that continues no other (the backlog was created anew)."""
        return replace(self, replication_id=new_id, second_id=NO_ID, second_valid_up_to=-1)

    def continued_as(self, announced_id: str | None) -> History:
        """Go on after +CONTINUE; a new id makes the old one second, so that own replicas can continue too."""
        if announced_id is None or announced_id == self.replication_id:
            return self
        return self.promoted(announced_id)

    def replaced_by(self, replication_id: str, offset: int) -> History:
        """Take over the primary's history after +FULLRESYNC; nothing of the old one remains."""
        return History(replication_id, offset)

    def under_former_id(self) -> History:
        """Return the same copy as of the history before, if nothing was written since the id changed.

        So it is with a primary that has restarted and waits: nobody else knows its new id.
        """
        if self.second_valid_up_to != self.offset + 1:
            return self
        return replace(self, replication_id=self.second_id, second_id=NO_ID, second_valid_up_to=-1)

    def advanced(self, byte_count: int) -> History:
        """Note bytes written or applied."""
        return replace(self, offset=self.offset + byte_count)

    def to_rdb_fields(self) -> dict[str, str]:
        """Return the auxiliary fields that let a restarted node resume."""
        return {
            "repl-stream-db": str(self.stream_database),
            "repl-id": self.replication_id,
            "repl-offset": str(self.offset),
        }


def history_after_start(fields: Mapping[str, str], new_id: str, is_replica: bool) -> History:
    """Return the history of a copy loaded from an RDB file with these auxiliary fields.

    A replica goes on under the id it had. A primary takes a new id, for nobody knows what it
    wrote after the file; the id in the file becomes the second, so its replicas can continue.
    """
    replication_id, offset_text = fields.get("repl-id", ""), fields.get("repl-offset", "")
    if not is_replication_id(replication_id) or not offset_text.isdecimal() or len(offset_text) > 19:
        return History(new_id)
    database = fields.get("repl-stream-db", "0")
    kept = History(
        replication_id, int(offset_text), stream_database=int(database) if database.isdecimal() else 0
    )
    return kept if is_replica else kept.promoted(new_id)


def former_text(former: Mapping[str, int]) -> str:
    """Return the last former ids, each with the offset up to where it was that one's history, as a word."""
    return ",".join(f"{name}:{offset}" for name, offset in list(former.items())[-FORMER_MOST:])


def read_former(text: str) -> dict[str, int]:
    """Read such a word; what is no such pair is left out."""
    pairs = (each.partition(":") for each in text.split(","))
    return {
        name: int(offset)
        for name, _, offset in pairs
        if is_replication_id(name) and offset.isdecimal() and len(offset) < 20
    }


def is_replication_id(text: str) -> bool:
    """Tell whether the text has the form of a replication id."""
    return len(text) == ID_LENGTH and _HEXADECIMAL.issuperset(text)


@dataclass(frozen=True, slots=True)
class Continue:
    """Send +CONTINUE and the stream from byte `first_byte`."""

    first_byte: int
    reply: bytes


@dataclass(frozen=True, slots=True)
class FullResync:
    """A snapshot is needed; `reason` is for the log. `was_asked_for`: the replica sent "?"."""

    reason: str
    was_asked_for: bool = False


def psync_decision(
    history: History,
    backlog_first_byte: int | None,
    asked_id: str,
    asked_byte: int,
    knows_psync2: bool,
) -> Continue | FullResync:
    """Decide on a PSYNC at the primary. `backlog_first_byte` is None where there is no backlog."""
    if asked_id == "?":
        return FullResync("the replica asked for a full resync", was_asked_for=True)
    asked = asked_id.lower()
    if asked != history.replication_id.lower():
        if asked != history.second_id.lower() or history.second_valid_up_to < 0:
            return FullResync(
                f"replication id mismatch: the replica asked for {asked_id[:ID_LENGTH]!r}, "
                f"this history is {history.replication_id} and before {history.second_id}"
            )
        if asked_byte > history.second_valid_up_to:
            return FullResync(
                f"the replica asked for byte {asked_byte} of the former history, "
                f"which is shared only up to {history.second_valid_up_to}"
            )
    if backlog_first_byte is None:
        return FullResync("there is no backlog")
    if asked_byte > history.offset + 1:
        return FullResync(f"the replica asked for byte {asked_byte}, past the end at {history.offset}")
    if asked_byte < backlog_first_byte:
        return FullResync(
            f"the replica asked for byte {asked_byte}, the backlog begins at {backlog_first_byte}"
        )
    suffix = f" {history.replication_id}" if knows_psync2 else ""
    return Continue(asked_byte, f"+CONTINUE{suffix}\r\n".encode())


def full_resync_reply(history: History) -> bytes:
    """Return the line that begins a full resync from a snapshot taken at this point of the history."""
    return f"+FULLRESYNC {history.replication_id} {history.offset}\r\n".encode()


def psync_request(history: History | None, is_failover: bool = False) -> tuple[bytes, ...]:
    """Return the PSYNC that a replica sends; None asks for a full resync."""
    if history is None:
        return (b"PSYNC", b"?", b"-1")
    words = (b"PSYNC", history.replication_id.encode(), str(history.offset + 1).encode())
    return (*words, b"FAILOVER") if is_failover else words


class PsyncAnswer(Enum):
    """What a primary's reply to PSYNC means to the replica."""

    CONTINUE = "continue"
    FULL = "full"
    TRY_LATER = "try later"
    NOT_SUPPORTED = "not supported"
    """The primary does not know PSYNC: use SYNC."""
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class PsyncReply:
    """A reply read. `replication_id` is None where +CONTINUE names none; `offset` belongs to FULL."""

    answer: PsyncAnswer
    replication_id: str | None = None
    offset: int = -1


def read_psync_reply(line: str) -> PsyncReply:
    """Read the reply line to PSYNC, without its line end."""
    words = line.split(" ")
    if words[0] == "+FULLRESYNC":
        sound = (
            len(words) == 3 and is_replication_id(words[1]) and words[2].isdecimal() and len(words[2]) < 20
        )
        return (
            PsyncReply(PsyncAnswer.FULL, words[1], int(words[2])) if sound else PsyncReply(PsyncAnswer.BROKEN)
        )
    if words[0] == "+CONTINUE":
        if len(words) == 1:
            return PsyncReply(PsyncAnswer.CONTINUE)
        sound = len(words) == 2 and is_replication_id(words[1])
        return PsyncReply(PsyncAnswer.CONTINUE, words[1]) if sound else PsyncReply(PsyncAnswer.BROKEN)
    if words[0] in ("-NOMASTERLINK", "-LOADING"):
        return PsyncReply(PsyncAnswer.TRY_LATER)
    return PsyncReply(PsyncAnswer.NOT_SUPPORTED if line.startswith("-") else PsyncAnswer.BROKEN)
