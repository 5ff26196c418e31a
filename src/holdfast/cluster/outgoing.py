"""How messages are made and to whom they go: header, gossip, ping, pong, broadcast.

What it is: the view turned into messages. What it is not: when to send (`machine`), bytes
(`codec`).

Gossip: a tenth of the nodes, three at least, drawn by luck, and every node that is under
suspicion, so that reports add up quickly. The host name goes
to all; the extensions of 7.2 go only to nodes that are known to read them, for those of 7.0
write a line to their log for each one that they do not know.
"""

from __future__ import annotations

from typing import Any

from holdfast.cluster import flags, messages
from holdfast.cluster.effects import Send
from holdfast.cluster.messages import NO_EXTENSIONS, Extensions, Gossip, Message
from holdfast.cluster.model import Link, Node, View

GOSSIP_LEAST = 3
MUTE = flags.HANDSHAKE | flags.NO_ADDRESS
"""Such nodes are not told of."""


def make(view: View, kind: int, message_flags: int = 0, **body: Any) -> Message:
    """Return a message with our standing in its header."""
    me, settings = view.me, view.settings
    shown = me.group
    if me.is_primary and view.manual.is_paused:
        message_flags |= messages.PAUSED
    return Message(
        type=kind,
        sender=me.id,
        epoch=view.epoch,
        config_epoch=shown.config_epoch,
        offset=view.my_offset,
        slots=shown.slots,
        primary_id=me.primary.id if me.primary is not None else "",
        host=settings.announce_ip,
        port=settings.shown_port,
        tls_port=0,
        bus_port=settings.shown_bus_port,
        flags=me.flags,
        is_ok=view.is_ok,
        message_flags=message_flags,
        is_ours=True,
        **body,
    )


def send(view: View, link: Link | None, message: Message) -> bool:
    """Send a message over a link; return whether there is one."""
    if link is None or not link.is_up:
        return False
    view.sent[message.type] = view.sent.get(message.type, 0) + 1
    view.do(Send(link, message))
    return True


def ping(view: View, link: Link, kind: int, now_ms: int) -> None:
    """Send a PING, PONG or MEET with gossip."""
    node = link.node
    extensions = NO_EXTENSIONS
    if node is not None and not node.in_handshake:
        extensions = _extensions(view, node, now_ms)
    message = make(
        view,
        kind,
        messages.HAS_EXTENSIONS,
        gossip=_gossip(view, node),
        extensions=extensions,
    )
    if view.claiming and node is not None and node.primary is view.me:
        message = message._replace(slots=message.slots | view.claiming)
    if not send(view, link, message):
        return
    link.pings += kind != messages.PONG
    if kind != messages.PONG and link.outbound and node is not None:
        node.ping_sent_ms = node.ping_sent_ms or now_ms


def left_out(link: Link, message: Message) -> None:
    """Note that a message was not sent, so that pings and pongs of the connection still match (`told`)."""
    if message.type == messages.PONG:
        link.owed_pongs += not link.outbound
    elif message.is_ping:
        link.pings -= 1


def answer_owed(view: View, now_ms: int) -> None:
    """Send the answers that were left out. (Who waits for one asks nothing more over that connection.)"""
    for each in view.others():
        link = each.inbound
        if link is not None and link.owed_pongs:
            owed, link.owed_pongs = link.owed_pongs, 0
            for _ in range(owed):
                ping(view, link, messages.PONG, now_ms)


def pong_all(view: View, now_ms: int) -> None:
    """Tell everybody of our standing at once."""
    for each in view.others():
        if each.link is not None and not each.in_handshake:
            ping(view, each.link, messages.PONG, now_ms)


def pong_shard(view: View, now_ms: int) -> None:
    """Tell the replicas of our shard of our standing at once."""
    group = view.me.group
    for each in view.others():
        if each.primary is group and each.link is not None and not each.in_handshake:
            ping(view, each.link, messages.PONG, now_ms)


def broadcast(view: View, message: Message) -> None:
    """Send a message to every node that is past its handshake."""
    for each in view.others():
        if not each.in_handshake:
            send(view, each.link, message)


def _extensions(view: View, node: Node, now_ms: int) -> Extensions:
    if not (node.is_ours or node.has_shard_id):
        return Extensions(view.settings.hostname) if view.settings.hostname else NO_EXTENSIONS
    forgotten = tuple(
        (node_id, max((until_ms - now_ms) // 1000, 1))
        for node_id, until_ms in view.forgotten.items()
        if until_ms > now_ms
    )
    return Extensions(view.settings.hostname, view.settings.human_name, view.me.shard_id, forgotten)


def _gossip(view: View, receiver: Node | None) -> tuple[Gossip, ...]:
    view.gossip_round += 1
    me, gossip_round, draw = view.me, view.gossip_round, view.luck.getrandbits
    rows = list(view.nodes.values())
    count = len(rows)
    wanted, bits = min(max(count // 10, GOSSIP_LEAST), count - 2), count.bit_length()
    chosen: list[Node] = []
    tries = wanted * 3
    while tries > 0 and len(chosen) < wanted:
        tries -= 1
        place = draw(bits)
        while place >= count:
            place = draw(bits)
        each = rows[place]
        if each is me or each is receiver or each.in_gossip == gossip_round:
            continue
        if each.flags & (MUTE | flags.PFAIL) or (each.link is None and not each.slots):
            continue
        each.in_gossip = gossip_round
        chosen.append(each)
    if view.failed and receiver is not None and receiver.is_ours:
        failed = (each for each in rows if each.is_failed and each.slots and not each.flags & MUTE)
        chosen += [each for each in failed if each.in_gossip != gossip_round and each is not receiver]
    if view.suspects:
        chosen += [each for each in rows if each.flags & flags.PFAIL and not each.flags & MUTE]
    return tuple([_row(each, view.wall_ahead_ms) for each in chosen])


def _row(node: Node, ahead_ms: int) -> Gossip:
    ping_ms, pong_ms = node.ping_sent_ms, node.pong_received_ms
    fields = (
        node.id,
        max(ping_ms + ahead_ms, 0) // 1000 if ping_ms else 0,
        max(pong_ms + ahead_ms, 0) // 1000 if pong_ms else 0,
        node.host,
        node.port,
        node.bus_port,
        node.flags,
        node.tls_port,
    )
    return tuple.__new__(Gossip, fields)  # three a message: by its own constructor it takes twice as long
