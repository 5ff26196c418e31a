"""nodes.conf: what a node must not forget, as text that Redis 7 reads and writes.

What it is: the view as text and back. What it is not: the disk (`store`).

A line a node is just what CLUSTER NODES shows, so 7.0 and 7.2 both read it. Redis 7.2
keeps shard ids and node names in such a line, behind the host name, where 7.0 would take
them for a part of it; here they stand as variables in a line of their own, which both skip,
and are read in either place.

The text ends with the epochs. Behind them changes of slots, or a claim of some, may have been added as
lines of their own (`slot_lines`, `claim_line`), which is cheaper than a new file. The last one may be torn:
it counts for nothing.

How to read it: `node_line`, `text_of`, `slot_lines` and `claim_line` write, `load` reads.
"""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.cluster import flags, table
from holdfast.cluster.model import Node, View
from holdfast.cluster.slots import SLOTS, members, of_range, of_slots, ranges
from holdfast.server.config.words import quoted, split_words

BUS_PORT_OFFSET = 10_000
_HEX = frozenset("0123456789abcdef")
_SLOT_LINE = "vars slot:"
_CLAIM_LINE = "vars claim:"


class NodesFileError(ValueError):
    """The file cannot be read; the text says where."""


# ---- out ----


def node_line(view: View, node: Node) -> str:
    """Return the line of a node as CLUSTER NODES shows it, without a line feed."""
    hostname = f",{node.hostname}" if node.hostname else ""
    is_there = node.is_myself or node.link is not None
    words = [
        node.id,
        f"{node.host}:{node.port}@{node.bus_port}{hostname}",
        flags.names(node.flags),
        node.primary.id if node.primary is not None else "-",
        str(view.wall_ms(node.ping_sent_ms)),
        str(view.wall_ms(node.pong_received_ms)),
        str(node.group.config_epoch),
        "connected" if is_there else "disconnected",
    ]
    words += [str(first) if first == last else f"{first}-{last}" for first, last in ranges(node.slots)]
    if node.is_myself:
        words += [f"[{slot}->-{peer.id}]" for slot, peer in sorted(view.migrating.items())]
        words += [f"[{slot}-<-{peer.id}]" for slot, peer in sorted(view.importing.items())]
    return " ".join(words)


def text_of(view: View) -> str:
    """Return the whole file."""
    kept = [each for each in view.nodes.values() if not each.in_handshake]
    lines = [node_line(view, each) for each in kept]
    lines.append("vars " + " ".join(_extra(kept)))
    if view.receiving:
        lines.append(f"vars receiving {_as_ranges(view.receiving)}")
    lines.append(f"vars currentEpoch {view.epoch} lastVoteEpoch {view.voted_epoch}")
    return "\n".join(lines) + "\n"


def slot_lines(view: View, slots: int) -> str:
    """Return lines that say whose slots are and which are open, to be added behind the text.

    A line for all slots that stand alike, so mostly one.
    """
    alike: dict[tuple[Node | None, ...], list[int]] = {}
    for slot in members(slots):
        standing = view.owners[slot], view.migrating.get(slot), view.importing.get(slot)
        alike.setdefault(standing, []).append(slot)
    return "".join(
        f"{_SLOT_LINE}{_as_ranges(of_slots(some))} {'/'.join(each.id if each else '-' for each in nodes)}\n"
        for nodes, some in alike.items()
    )


def claim_line(view: View, slots: int) -> str:
    """Return the line that says that we have claimed slots, in the epoch that we have."""
    return f"{_CLAIM_LINE}{view.me.config_epoch} {_as_ranges(slots)}\n"


def _as_ranges(slots: int) -> str:
    return ",".join(f"{first}-{last}" if first != last else str(first) for first, last in ranges(slots))


def _extra(nodes: Iterable[Node]) -> Iterable[str]:
    for each in nodes:
        if each.group.shard_id:
            yield f"shard-id:{each.id} {each.group.shard_id}"
        if each.human_name:
            yield f"nodename:{each.id} {quoted(each.human_name)}"


# ---- in ----


def load(view: View, text: str, now_ms: int) -> None:
    """Fill a fresh view. Raises `NodesFileError`."""
    me: list[Node] = []
    extra: dict[str, str] = {}
    del view.nodes[view.me.id]
    *lines, last = text.rstrip("\0").split("\n")  # behind a torn line there may be room never written to
    if not any(last.startswith(each) or each.startswith(last) for each in (_SLOT_LINE, _CLAIM_LINE)):
        lines.append(last)
    for line in lines:
        if not line.strip():
            continue
        words = split_words(line)
        if words is None:
            raise NodesFileError(line)
        try:
            if line.startswith(_SLOT_LINE):
                _read_slots(view, words[1], words[2], now_ms)
            elif line.startswith(_CLAIM_LINE):
                _read_claim(view, me[0], words[1], words[2])
            elif words[0].lower() == "vars":
                _read_variables(view, words[1:], extra)
            else:
                _read_node(view, words, me, now_ms)
        except (ValueError, IndexError) as error:
            raise NodesFileError(line) from error
    if len(me) != 1:
        raise NodesFileError("no line, or more than one, has the flag myself")
    view.me = me[0]
    for node in view.nodes.values():
        node.shard_id = extra.get(f"shard-id:{node.id}", node.shard_id) or table.random_id(view)
        node.human_name = extra.get(f"nodename:{node.id}", node.human_name)
    for node in view.nodes.values():
        node.shard_id = node.group.shard_id
    view.epoch = view.highest_epoch()
    view.changed_slots = 0


def _read_variables(view: View, words: list[str], extra: dict[str, str]) -> None:
    if len(words) % 2:
        raise ValueError("a variable without a value")
    for name, value in zip(words[::2], words[1::2], strict=True):
        match name.lower():
            case "currentepoch":
                view.epoch = int(value)
            case "lastvoteepoch":
                view.voted_epoch = int(value)
            case "receiving":
                view.receiving |= _read_ranges(value)
            case _:
                extra[name] = value


def _read_node(view: View, words: list[str], me: list[Node], now_ms: int) -> None:
    if len(words) < 8:
        raise ValueError("too few words")
    node = _row(view, words[0], now_ms)
    _read_address(node, words[1])
    node.flags |= flags.parse(words[2])
    if node.is_failed:
        node.fail_ms = now_ms
    if node.is_myself and node not in me:
        me.append(node)
    if not words[3].startswith("-"):
        view.attach(node, _row(view, words[3], now_ms))
    node.config_epoch = 0 if node.is_replica and node.primary is not None else int(words[6])
    for word in words[8:]:
        if word.startswith("["):
            _read_open_slot(view, word, now_ms)
        else:
            view.give_slots(_read_range(word), node)


def _row(view: View, node_id: str, now_ms: int) -> Node:
    if len(node_id) != 40 or not _HEX.issuperset(node_id):
        raise ValueError("no node id")
    node = view.node(node_id)
    if node is None:
        node = Node(node_id, 0, now_ms)
        view.add(node)
    return node


def _read_address(node: Node, word: str) -> None:
    """Read ip:port[@bus-port][,hostname[,name=value]...]."""
    address, *rest = word.split(",")
    node.hostname = rest[0] if rest else ""
    node.host, _, ports = address.rpartition(":")
    port, _, bus_port = ports.partition("@")
    node.port = int(port)
    node.bus_port = int(bus_port) if bus_port else node.port + BUS_PORT_OFFSET
    for each in rest[1:]:
        name, _, value = each.partition("=")
        match name:
            case "shard-id":
                node.shard_id = value
            case "nodename":
                node.human_name = value
            case "tls-port":
                node.tls_port = int(value)
            case "tcp-port":
                node.port = int(value)
            case _:
                raise ValueError("unknown field")


def _read_slots(view: View, name: str, value: str, now_ms: int) -> None:
    slots = _read_ranges(name.removeprefix("slot:"))
    owner, target, source = (None if each == "-" else _row(view, each, now_ms) for each in value.split("/"))
    view.give_slots(slots, owner)
    for slot in members(slots):
        view.open_slot(view.migrating, slot, target)
        view.open_slot(view.importing, slot, source)


def _read_claim(view: View, me: Node, name: str, value: str) -> None:
    slots = _read_ranges(value)
    view.give_slots(slots, me)
    for slot in members(slots):
        view.open_slot(view.importing, slot, None)
    view.receiving &= ~slots
    me.config_epoch = max(me.config_epoch, int(name.removeprefix("claim:")))


def _read_ranges(text: str) -> int:
    slots = 0
    for each in text.split(","):
        slots |= _read_range(each)
    return slots


def _read_range(text: str) -> int:
    first, _, last = text.partition("-")
    begin, end = int(first), int(last or first)
    if not 0 <= begin <= end < SLOTS:
        raise ValueError("no such slot")
    return of_range(begin, end)


def _read_open_slot(view: View, word: str, now_ms: int) -> None:
    slot, direction, peer = word[1:].rstrip("]").split("-", 2)
    if not 0 <= int(slot) < SLOTS or direction not in "><":
        raise ValueError("no such slot")
    opened = view.migrating if direction == ">" else view.importing
    opened[int(slot)] = _row(view, peer, now_ms)
