"""What a message changes: who the sender is, what it tells of itself and of others.

What it is: the order in which one message is read. What it is not: the decisions; each has
its own module. An unknown sender changes nothing, except by MEET.

How to read it: `received`, then in its order what it calls.
"""

from __future__ import annotations

from holdfast.cluster import claims, election, failure, flags, manual, messages, outgoing, table, voting
from holdfast.cluster.effects import Deliver
from holdfast.cluster.messages import Gossip, Message
from holdfast.cluster.model import Link, Node, View

GOSSIPED = flags.PRIMARY | flags.REPLICA | flags.PFAIL | flags.FAIL | flags.NO_FAILOVER | flags.MIGRATE_TO
"""The flags of an unknown node that are taken from gossip."""

DOWN = flags.PFAIL | flags.FAIL
LOST = DOWN | flags.NO_ADDRESS


def received(view: View, link: Link, message: Message, now_ms: int) -> None:
    """Take a message that came over a link."""
    view.received[message.type] = view.received.get(message.type, 0) + 1
    sender = _sender(view, link, message)
    if sender is not None:
        _note_standing(view, sender, message, now_ms)
    if message.is_ping:
        _pinged(view, link, sender, message, now_ms)
        return
    if sender is None:
        return
    match message.type:
        case messages.FAIL:
            _failed(view, sender, message, now_ms)
        case messages.PUBLISH | messages.PUBLISHSHARD:
            is_sharded = message.type == messages.PUBLISHSHARD
            view.do(Deliver(message.channel, message.text, is_sharded))
        case messages.AUTH_REQUEST:
            _note_role(view, sender, message)
            voting.asked(view, sender, message, now_ms)
        case messages.AUTH_ACK:
            election.voted(view, sender, message.epoch)
        case messages.MFSTART:
            _note_role(view, sender, message)  # perhaps it began to follow us a moment ago
            manual.asked_to_pause(view, link, sender, now_ms)
        case messages.UPDATE:
            claims.updated(view, message)


def _sender(view: View, link: Link, message: Message) -> Node | None:
    """Return the node that speaks, if it is known."""
    if link.node is not None and not link.node.in_handshake:
        return link.node
    sender = view.node(message.sender)
    if sender is None or sender.in_handshake or sender is view.me:
        return None
    if link.node is None:
        if sender.inbound is not None:
            table.close(view, sender.inbound)
        sender.inbound, link.node = link, sender
    return sender


def _note_standing(view: View, sender: Node, message: Message, now_ms: int) -> None:
    """Take what every header tells: epochs and offset."""
    sender.heard_ms = now_ms
    sender.is_ours = message.is_ours
    if message.sender != sender.id:
        return
    view.epoch = max(view.epoch, message.epoch)
    if message.config_epoch > sender.config_epoch:
        sender.config_epoch = message.config_epoch
        view.save()
    sender.offset, sender.offset_ms = message.offset, now_ms
    if view.me.primary is sender:
        manual.heard_primary(view, message)
    if view.me.is_replica and sender.group is view.me.primary:
        view.must_elect = True


# ---- PING, PONG, MEET ----


def _pinged(view: View, link: Link, sender: Node | None, message: Message, now_ms: int) -> None:
    if message.type != messages.PONG:
        _learn_own_address(view, link, message)
        if sender is None and message.type == messages.MEET:
            _met(view, link, message, now_ms)
        outgoing.ping(view, link, messages.PONG, now_ms)
    if link.outbound and not _is_expected(view, link, sender, message, now_ms):
        return
    if link.outbound and message.type == messages.PONG and link.node is not None:
        link.has_answered = True
        link.pongs += 1
        failure.answered(view, link.node, now_ms)
    if sender is None:
        return
    sender.flags = (sender.flags & ~flags.NO_FAILOVER) | (message.flags & flags.NO_FAILOVER)
    if message.type == messages.PING:
        _update_address(view, sender, link, message)
    _note_role(view, sender, message)
    _note_shard(view, sender, message)  # whether it is an heir of ours hangs on it
    shown = sender.group
    if view.imported and link.outbound and link.pongs > link.pings_before_claim:
        claims.heard(view, sender, message.slots)
    told = message.config_epoch, message.slots, message.extensions.shard_id is not None
    is_heir = sender.is_primary and claims.deposes(view, sender, *told)
    if shown.slots != message.slots or is_heir:
        if sender.is_primary:
            had = view.me.slots
            claims.claim(view, sender, *told)
            if had & ~view.me.slots and sender.link is not None:
                outgoing.ping(view, sender.link, messages.PONG, now_ms)  # it waits for us to let them go
        claims.tell_newer(view, sender, message)
    elif sender.is_primary and view.not_claiming & message.slots:
        view.not_claiming &= ~message.slots
    if message.config_epoch == view.me.config_epoch:
        claims.resolve_collision(view, sender)
    counts = sender.is_primary
    for each in message.gossip:
        _gossip(view, sender, counts, each, now_ms)
    _note_extensions(view, sender, message, now_ms)


def _learn_own_address(view: View, link: Link, message: Message) -> None:
    """Take our own address from where others reach us, unless it is configured."""
    me = view.me
    if view.settings.announce_ip or not link.local_ip or link.local_ip == me.host:
        return
    if message.type == messages.MEET or not me.host:
        me.host = link.local_ip
        view.log(f"IP address for this node updated to {me.host}")
        view.save()


def _met(view: View, link: Link, message: Message, now_ms: int) -> None:
    """Somebody asks us to join: begin a handshake, and believe its gossip."""
    host = message.host or link.peer_ip
    if host and not handshake_under_way(view, host, message.port, message.bus_port):
        node = table.new_node(view, table.random_id(view), flags.HANDSHAKE, now_ms)
        node.host, node.port, node.bus_port = host, message.port, message.bus_port
        view.save()


def handshake_under_way(view: View, host: str, port: int, bus_port: int) -> bool:
    """Whether we are already shaking hands with this address."""
    return any(
        each.in_handshake and (each.host, each.port, each.bus_port) == (host, port, bus_port)
        for each in view.nodes.values()
    )


def _is_expected(view: View, link: Link, sender: Node | None, message: Message, now_ms: int) -> bool:
    """Check that who answers on our connection is whom we called; finish a handshake."""
    node = link.node
    if node is None:
        return False
    if node.in_handshake:
        if sender is not None or message.sender == view.me.id:
            if sender is not None:
                _update_address(view, sender, link, message)
            table.remove(view, node)
            return False
        view.rename(node, message.sender)
        node.flags = (node.flags & ~(flags.HANDSHAKE | flags.MEET)) | (
            message.flags & (flags.PRIMARY | flags.REPLICA)
        )
        node.is_ours, node.heard_ms = message.is_ours, now_ms
        view.save()
        view.must_judge = True
        return True
    if node.id != message.sender:
        view.log(f"PONG contains mismatching sender ID. About node {node.id}", "debug")
        node.flags |= flags.NO_ADDRESS
        node.host, node.port, node.tls_port, node.bus_port = "", 0, 0, 0
        table.close(view, link)
        view.save()
        return False
    return True


def _update_address(view: View, node: Node, link: Link, message: Message) -> None:
    """Follow a node that has moved; its old connection ends."""
    host = message.host or link.peer_ip
    if link is node.link or not host:
        return
    if (node.host, node.port, node.bus_port) == (host, message.port, message.bus_port):
        return
    node.host, node.port, node.bus_port = host, message.port, message.bus_port
    node.tls_port = message.tls_port
    node.flags &= ~flags.NO_ADDRESS
    table.close(view, node.link)
    view.log(f"Address updated for node {node.id} ({node.human_name}), now {host}:{node.port}")
    view.save()
    view.must_judge = True


def _note_role(view: View, sender: Node, message: Message) -> None:
    if not message.primary_id:
        table.turn_primary(view, sender)
        return
    primary = view.node(message.primary_id)
    table.turn_replica(view, sender)
    if primary is not None and primary is not sender and sender.primary is not primary:
        view.attach(sender, primary)
        sender.shard_id = primary.shard_id
        view.save()
        if sender is view.me.primary:
            claims.follow_grand_primary(view)


# ---- gossip ----


def _gossip(view: View, sender: Node, counts: bool, row: Gossip, now_ms: int) -> None:
    """Take what a node says of another; `counts`: its word counts when a node is thought down."""
    node = view.nodes.get(row.node_id)
    if node is view.me:
        return
    is_down = row.flags & DOWN != 0
    if node is None:
        known_address = not row.flags & (flags.NO_ADDRESS | flags.HANDSHAKE) and row.host
        if known_address and not table.is_forgotten(view, row.node_id, now_ms):
            node = table.new_node(view, row.node_id, row.flags & GOSSIPED, now_ms)
            node.host, node.port, node.bus_port = row.host, row.port, row.bus_port
            node.tls_port = row.tls_port
            if node.is_failed:
                node.fail_ms = now_ms
            view.save()
            table.count_suspects(view)
        return
    if counts:
        if is_down:
            if sender not in node.failure_reports:
                view.log(f"Node {sender.id} reported node {node.id} as not reachable.", "verbose")
            node.failure_reports[sender] = now_ms
            failure.agree(view, node, now_ms)
        elif node.failure_reports and node.failure_reports.pop(sender, None) is not None:
            view.log(f"Node {sender.id} reported node {node.id} is back online.", "verbose")
    if is_down or not node.flags & LOST:
        return
    address = (row.host, row.port, row.tls_port, row.bus_port)
    has_moved = address != (node.host, node.port, node.tls_port, node.bus_port)
    if has_moved and row.host and not row.flags & flags.NO_ADDRESS:
        table.close(view, node.link)
        node.host, node.port, node.tls_port, node.bus_port = address
        node.flags &= ~flags.NO_ADDRESS
        view.save()


def _failed(view: View, sender: Node, message: Message, now_ms: int) -> None:
    node = view.node(message.about)
    if node is None or node.flags & (flags.FAIL | flags.MYSELF):
        return
    view.log(f"FAIL message received from {sender.id} ({sender.human_name}) about {node.id}")
    failure.mark_failed(view, node, now_ms)


# ---- extensions ----


def _note_shard(view: View, sender: Node, message: Message) -> None:
    told = message.extensions.shard_id
    sender.has_shard_id = sender.has_shard_id or told is not None
    shard_id = told if told is not None else sender.group.shard_id
    if shard_id != sender.shard_id:
        sender.shard_id = shard_id
        view.save()
    if view.me.primary is sender:
        view.me.shard_id = sender.shard_id


def _note_extensions(view: View, sender: Node, message: Message, now_ms: int) -> None:
    extensions = message.extensions
    for name, said in (("hostname", extensions.hostname), ("human_name", extensions.human_name)):
        if getattr(sender, name) != said:
            setattr(sender, name, said)
            view.save()
    for node_id, seconds in extensions.forgotten:
        node = view.node(node_id)
        if node is not None and node is not view.me and view.me.primary is not node:
            table.forget(view, node_id, seconds * 1000, now_ms)
            table.remove(view, node)
            view.save()
