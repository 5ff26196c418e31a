"""What Sentinel tells the nodes of data: to lead, to follow, to hand over.

What it is: the commands, and who gets which: REPLICAOF in a transaction for stock nodes,
as redis-sentinel sends it, orders with an epoch for nodes that were ever fenced. What it
is not: when (`failover`, `observation`).

The clients of a demoted stock node are disconnected in the same transaction, so that none goes
on talking to it, but after a planned failover: then they hear first that it is a replica. A node
of ours sends its own away when it obeys. INFO is asked right behind, so
that the next step need not wait.
"""

from __future__ import annotations

from holdfast.sentinel import asking
from holdfast.sentinel.model import Address, Instance, Sentinel
from holdfast.sentinel.reply_reader import Reply, ReplyError


def replica_of(
    sentinel: Sentinel, node: Instance, address: Address | None, now_ms: int, *, closes_clients: bool = True
) -> bool:
    """Send REPLICAOF, None for NO ONE, to a stock node; False: it cannot be reached."""
    if not node.link.is_up:
        return False
    host, port = ("NO", "ONE") if address is None else (sentinel.shown(address), str(address.port))

    def executed(reply: Reply, at_ms: int) -> None:
        if isinstance(reply, ReplyError):
            sentinel.log(f"{node.name} refused REPLICAOF {host} {port}: {reply}", "warning")

    sentinel.send(node, "MULTI")
    sentinel.send(node, "SLAVEOF", host, port)
    sentinel.send(node, "CONFIG", "REWRITE")
    if closes_clients:
        sentinel.send(node, "CLIENT", "KILL", "TYPE", "normal")
        sentinel.send(node, "CLIENT", "KILL", "TYPE", "pubsub")
    sentinel.send(node, "EXEC", on_reply=executed)
    asking.ask_info(sentinel, node, now_ms)
    return True


def follow(
    sentinel: Sentinel, node: Instance, target: Instance, now_ms: int, *, closes_clients: bool = True
) -> bool:
    """Have a node follow another, by the order that it understands; False: it cannot be reached.

    A node that has not yet said what it is gets none. A node of ours takes the order for stock nodes for an
    operator's, after which its copy counts for nothing until it has attached.
    """
    if not node.link.is_up or node.is_stranger or node.info_ms is None:
        return False
    group, words = node.group, sentinel.orders
    epoch = target.fence_epoch
    if node.node_id and node.fence_epoch > epoch:
        return False  # by a leader that goes on, or came to nothing: only a higher epoch lets it follow
    if words is None or not node.node_id or not epoch:
        return replica_of(sentinel, node, target.address, now_ms, closes_clients=closes_clients)
    # A restart remembers the epoch in which it voted, and not for whom.
    leader = group.leader if group.leader and group.leader_epoch == epoch else sentinel.my_id

    def ordered(reply: Reply, at_ms: int) -> None:
        if isinstance(reply, ReplyError):
            sentinel.log(f"{node.name} refused to follow {target.name}: {reply}", "warning")

    address = target.address
    order = words.follow(epoch, leader, sentinel.shown(address), address.port, target.node_id)
    sentinel.send(node, *order, on_reply=ordered)
    sentinel.send(node, "CONFIG", "REWRITE")
    asking.ask_info(sentinel, node, now_ms)
    return True


def send_away(sentinel: Sentinel, node: Instance) -> None:
    """Disconnect the clients of a demoted stock node, once what it had paused is answered.

    The answer is -READONLY: so a client knows that its write was not executed, where a connection
    that closes leaves it in doubt. They go out no later than the answer to our PING.
    """

    def answered(reply: Reply, at_ms: int) -> None:
        if node.link.is_up:
            sentinel.send(node, "CLIENT", "KILL", "TYPE", "normal")
            sentinel.send(node, "CLIENT", "KILL", "TYPE", "pubsub")

    if node.link.is_up:
        sentinel.send(node, "PING", on_reply=answered)


def close_clients(sentinel: Sentinel, node: Instance) -> None:
    """Disconnect the clients of a node that leads no more, and let it remember its role."""
    if node.link.is_up:
        sentinel.send(node, "CONFIG", "REWRITE")
        sentinel.send(node, "CLIENT", "KILL", "TYPE", "normal")
        sentinel.send(node, "CLIENT", "KILL", "TYPE", "pubsub")
