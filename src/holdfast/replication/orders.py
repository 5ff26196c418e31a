"""HOLDFAST: the one command family by which leaders and replicas of ours speak of fences.

What this is: the wire form of the orders in `fence`, of the fence report, and of a
replica's attachment. The command goes over the client port; its category is
@admin, so `masteruser` must be allowed to use it.

What this is not: the decisions (`fence`, `promotion`).

How to read it: the table, then `parse_order`, then the report both ways.

    HOLDFAST FENCE epoch leader                              -> report
    HOLDFAST PROMOTE epoch leader pos-epoch pos-offset [LOSS]  -> OK
    HOLDFAST FOLLOW epoch leader host port node-id           -> OK
    HOLDFAST FETCH epoch leader host port node-id pos-epoch pos-offset [LOSS] -> OK
    HOLDFAST ATTACH node-id fence-epoch pos-epoch pos-offset -> +node-id epoch offset

Refusals begin with -FENCED (an epoch is too low or another leader's), -NOPROMOTE (this copy
cannot lead) or -GRANTED (it granted a lease that has not ended). LEASE is in `lease`. The
report is a flat array of name and value, so that fields can be added: unknown ones are
passed over. ATTACH goes before PSYNC on a replica's link; a stock
primary answers it with an unknown-command error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.replication.fence import FenceOrder, FenceReport, FetchOrder, FollowOrder, PromoteOrder
from holdfast.replication.set_record import Position, decode_set_record

_COUNT_MAX = (1 << 63) - 1


class OrderError(ValueError):
    """The words are no order; the text is the error to send, without the minus sign."""


@dataclass(frozen=True, slots=True)
class AttachRequest:
    """What a replica of ours says before PSYNC."""

    node_id: str
    fence_epoch: int
    position: Position
    replication_id: str
    """The history that its copy belongs to."""

    def words(self) -> tuple[bytes, ...]:
        """Return the command."""
        words = (self.node_id, self.fence_epoch, *self.position, self.replication_id)
        return (b"HOLDFAST", b"ATTACH", *(str(each).encode() for each in words))


@dataclass(frozen=True, slots=True)
class AttachAnswer:
    """What a node of ours answers that is to be followed: who it is, its epoch, where its stream stands."""

    node_id: str
    epoch: int
    offset: int
    shared: int
    """Up to where the history that the replica named is part of this one's; 0: not at all."""
    leads: bool
    """Whether it is the primary, not a replica between."""

    def line(self) -> str:
        """Return the status reply's text."""
        return f"{self.node_id} {self.epoch} {self.offset} {self.shared} {int(self.leads)}"


Order = FenceOrder | PromoteOrder | FollowOrder | FetchOrder | AttachRequest


def parse_order(words: Sequence[str]) -> Order:
    """Read the words after HOLDFAST. Raises OrderError."""
    name, rest = (words[0].upper() if words else ""), list(words[1:])
    match (name, len(rest)):
        case ("FENCE", 2):
            return FenceOrder(_epoch(rest[0]), _word(rest[1]))
        case ("PROMOTE", 4):
            return PromoteOrder(_epoch(rest[0]), _word(rest[1]), _position(rest[2:4]))
        case ("PROMOTE", 5) if rest[4].upper() == "LOSS":
            return PromoteOrder(_epoch(rest[0]), _word(rest[1]), _position(rest[2:4]), accept_loss=True)
        case ("FOLLOW", 5):
            return FollowOrder(
                _epoch(rest[0]), _word(rest[1]), _word(rest[2]), _port(rest[3]), _word(rest[4])
            )
        case ("FETCH", 7):
            address = _word(rest[2]), _port(rest[3]), _word(rest[4])
            return FetchOrder(_epoch(rest[0]), _word(rest[1]), *address, _position(rest[5:7]))
        case ("FETCH", 8) if rest[7].upper() == "LOSS":
            address = _word(rest[2]), _port(rest[3]), _word(rest[4])
            return FetchOrder(
                _epoch(rest[0]), _word(rest[1]), *address, _position(rest[5:7]), accept_loss=True
            )
        case ("ATTACH", 5):
            return AttachRequest(_word(rest[0]), _count(rest[1]), _position(rest[2:4]), _word(rest[4]))
        case ("FENCE" | "PROMOTE" | "FOLLOW" | "FETCH" | "ATTACH", _):
            raise OrderError(f"ERR wrong number of arguments for 'holdfast|{name.lower()}' command")
    raise OrderError(f"ERR unknown subcommand '{name[:128]}'. Try HOLDFAST HELP.")


def order_words(order: FenceOrder | PromoteOrder | FollowOrder | FetchOrder) -> tuple[str, ...]:
    """Return the command that carries an order."""
    head = ("HOLDFAST", type(order).__name__.removesuffix("Order").upper(), str(order.epoch), order.leader)
    match order:
        case FenceOrder():
            return head
        case PromoteOrder():
            return (*head, *map(str, order.position), *(("LOSS",) if order.accept_loss else ()))
        case FollowOrder():
            return (*head, order.host, str(order.port), order.node_id)
        case FetchOrder():
            loss = ("LOSS",) if order.accept_loss else ()
            return (*head, order.host, str(order.port), order.node_id, *map(str, order.position), *loss)


def report_fields(report: FenceReport) -> list[str]:
    """Return a fence report as the flat array that goes over the wire."""
    heard = "" if report.heard_primary_ms_ago is None else str(report.heard_primary_ms_ago)
    fields = {
        "node-id": report.node_id,
        "fence-epoch": str(report.fence_epoch),
        "fence-leader": report.fence_leader,
        "position-epoch": str(report.position.epoch),
        "position-offset": str(report.position.offset),
        "set-record": report.record.encode().decode() if report.record else "",
        "intact": "yes" if report.intact else "no",
        "known": "yes" if report.is_known else "no",
        "heard-primary-ms-ago": heard,
        "granted-for-ms": str(report.granted_for_ms),
    }
    return [word for pair in fields.items() for word in pair]


def read_report(words: Sequence[str]) -> FenceReport:
    """Read a fence report. Raises OrderError if something that decides is missing or broken."""
    fields = dict(zip(words[::2], words[1::2], strict=False))
    try:
        record = decode_set_record(fields["set-record"].encode()) if fields["set-record"] else None
        if fields["set-record"] and record is None:
            raise OrderError("ERR broken fence report: the set record is of an unknown form")
        heard = fields.get("heard-primary-ms-ago", "")
        return FenceReport(
            _word(fields["node-id"]),
            _epoch(fields["fence-epoch"]),
            _word(fields["fence-leader"]),
            _position([fields["position-epoch"], fields["position-offset"]]),
            record,
            fields["intact"] == "yes",
            fields["known"] == "yes",
            _count(heard) if heard else None,
            _count(fields.get("granted-for-ms", "0")),
        )
    except (KeyError, ValueError) as error:
        raise OrderError(f"ERR broken fence report: {error}") from error


def read_attach_answer(line: str) -> AttachAnswer:
    """Read the status line that answers ATTACH. Raises OrderError."""
    words = line.split(" ")
    if len(words) != 5:
        raise OrderError("ERR broken answer to HOLDFAST ATTACH")
    epoch, offset, shared, leads = map(_count, words[1:])
    return AttachAnswer(_word(words[0]), epoch, offset, shared, leads != 0)


def _word(text: str) -> str:
    if not text or len(text) > 255 or not text.isprintable() or " " in text:
        raise OrderError("ERR a word of the order is empty or not printable")
    return text


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 19 or int(text) > _COUNT_MAX:
        raise OrderError("ERR value is not an integer or out of range")
    return int(text)


def _epoch(text: str) -> int:
    if not (epoch := _count(text)):
        raise OrderError("ERR an epoch is greater than 0")
    return epoch


def _port(text: str) -> int:
    if not 0 < (port := _count(text)) < 65536:
        raise OrderError("ERR Invalid master port")
    return port


def _position(words: Sequence[str]) -> Position:
    return Position(_count(words[0]), _count(words[1]))
