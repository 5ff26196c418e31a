"""nodes.conf: what a node must not forget, as text that Redis 7 reads and writes.

What it is: the view as text and back. What it is not: the disk (`store`).

A line a node is just what CLUSTER NODES shows, so 7.0 and 7.2 both read it. Redis 7.2
keeps shard ids and node names in such a line, behind the host name, where 7.0 would take
them for a part of it; here they stand as variables in a line of their own, which both skip,
and are read in either place.

The text ends with the epochs. Behind them a change of one slot, or a claim of several, may have been
added as a line of its own (`slot_line`, `claim_line`), which is cheaper than a new file. Such a line may be
torn: reading ends there.

How to read it: `node_line`, `text_of`, `slot_line` and `claim_line` write, `load` reads.
"""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.cluster import flags, table
from holdfast.cluster.model import Node, View
from holdfast.cluster.slots import SLOTS, members, of_range, ranges
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
        lines.append(
            "vars receiving " + ",".join(f"{first}-{last}" for first, last in ranges(view.receiving))
        )
    lines.append(f"vars currentEpoch {view.epoch} lastVoteEpoch {view.voted_epoch}")
    return "\n".join(lines) + "\n"


def slot_line(view: View, slot: int) -> str:
    """Return the line that says whose a slot is and whether it is open, to be added behind the text."""
    owner, target, source = view.owners[slot], view.migrating.get(slot), view.importing.get(slot)
    ids = [each.id if each is not None else "-" for each in (owner, target, source)]
    return f"vars slot:{slot} {'/'.join(ids)}\n"


def claim_line(view: View, slots: int) -> str:
    """Return the line that says that we have claimed slots, in the epoch that we have."""
    claimed = ",".join(f"{first}-{last}" for first, last in ranges(slots))
    return f"{_CLAIM_LINE}{view.me.config_epoch} {claimed}\n"


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
                _read_slot(view, words[1], words[2], now_ms)
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
            continue
        first, _, last = word.partition("-")
        begin, end = int(first), int(last or first)
        if not 0 <= begin <= end < SLOTS:
            raise ValueError("no such slot")
        view.give_slots(of_range(begin, end), node)


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


def _read_slot(view: View, name: str, value: str, now_ms: int) -> None:
    slot = int(name.removeprefix("slot:"))
    if not 0 <= slot < SLOTS:
        raise ValueError("no such slot")
    owner, target, source = (None if each == "-" else _row(view, each, now_ms) for each in value.split("/"))
    view.give_slot(slot, owner)
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
        first, _, last = each.partition("-")
        slots |= of_range(int(first), int(last))
    return slots


def _read_open_slot(view: View, word: str, now_ms: int) -> None:
    slot, direction, peer = word[1:].rstrip("]").split("-", 2)
    if not 0 <= int(slot) < SLOTS or direction not in "><":
        raise ValueError("no such slot")
    opened = view.migrating if direction == ">" else view.importing
    opened[int(slot)] = _row(view, peer, now_ms)
