"""What an operator orders: CLUSTER's changing subcommands, as decisions over the view.

What it is: for each order its refusals, word for word Redis's, and its effect. What it is
not: the reading of arguments (the command family).

A refusal is a `CommandError` and leaves everything as it was.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.cluster import claims, election, flags, health, incoming, manual, messages, outgoing, table
from holdfast.cluster.model import Election, Node, View
from holdfast.cluster.slots import members
from holdfast.cluster.told import Told
from holdfast.engine.values import CommandError

KeyCount = Callable[[int], int]
"""How many keys a slot has."""


def _is_address(host: str) -> bool:
    parts = host.split(".")
    if len(parts) == 4 and all(each.isdecimal() and len(each) <= 3 and int(each) < 256 for each in parts):
        return True
    return ":" in host and set(host) <= set("0123456789abcdefABCDEF:.") and host.count(":") >= 2


def _known(view: View, node_id: str, words: str = "Unknown node") -> Node:
    node = view.node(node_id)
    if node is None:
        raise CommandError(f"ERR {words} {node_id}")
    return node


def meet(view: View, host: str, port: int, bus_port: int, now_ms: int) -> bool:
    """Begin a handshake; false where the address is none."""
    if not _is_address(host) or not 0 < port < 65536 or not 0 < bus_port < 65536:
        return False
    if not incoming.handshake_under_way(view, host, port, bus_port):
        node = table.new_node(view, table.random_id(view), flags.HANDSHAKE | flags.MEET, now_ms)
        node.host, node.port, node.bus_port = host, port, bus_port
    return True


def forget(view: View, node_id: str, now_ms: int) -> None:
    """Remove a node, and keep gossip from bringing it back for a minute."""
    if view.node(node_id) is None and table.is_forgotten(view, node_id, now_ms):
        return
    node = _known(view, node_id)
    if node is view.me:
        raise CommandError("ERR I tried hard but I can't forget myself...")
    if view.me.primary is node:
        raise CommandError("ERR Can't forget my master!")
    table.forget(view, node_id, table.FORGET_MS, now_ms)
    table.remove(view, node)
    view.save()


def replicate(view: View, node_id: str, has_keys: bool) -> None:
    """Become a replica of a primary."""
    node = _known(view, node_id)
    if node is view.me:
        raise CommandError("ERR Can't replicate myself")
    if node.is_replica:
        raise CommandError("ERR I can only replicate a master, not a replica.")
    if view.me.is_primary and (view.me.slots or has_keys):
        raise CommandError("ERR To set a master the node must be empty and without assigned slots.")
    table.follow(view, node)
    view.save(synced=True)


def add_slots(view: View, slots: int) -> None:
    """Take unassigned slots."""
    for slot in members(slots):
        if view.owners[slot] is not None:
            raise CommandError(f"ERR Slot {slot} is already busy")
    for slot in members(slots):
        view.open_slot(view.importing, slot, None)
    view.give_slots(slots, view.me)
    view.save()
    view.must_judge = True


def delete_slots(view: View, slots: int) -> None:
    """Forget who owns slots."""
    for slot in members(slots):
        if view.owners[slot] is None:
            raise CommandError(f"ERR Slot {slot} is already unassigned")
    view.give_slots(slots, None)
    view.save()
    view.must_judge = True


def _target(view: View, node_id: str, words: str) -> Node:
    node = _known(view, node_id, words)
    if node.is_replica:
        raise CommandError("ERR Target node is not a master")
    return node


def _check_primary(view: View) -> None:
    if view.me.is_replica:
        raise CommandError("ERR Please use SETSLOT only with masters.")


def _check_majority(view: View, now_ms: int) -> None:
    """Raise CommandError where no majority is in reach, and an heir of ours may have been elected.

    An epoch that we took for ourselves would be that heir's, or above it, and our slots ours again.
    """
    if health.is_in_minority(view, now_ms):
        raise CommandError("TRYAGAIN A majority of the primaries is not in reach")


def _check_epoch_may_rise(view: View) -> None:
    """Raise CommandError while another node's epoch is to be the higher one.

    It claims slots of ours; or we are fenced, and it is our heir, or is to be.
    """
    if view.is_fenced and view.me.is_primary:
        raise CommandError("FENCED This node waits for a leader")
    if view.giving:
        raise CommandError("TRYAGAIN Slots of this node are being claimed by another node")


def set_migrating(view: View, slot: int, node_id: str) -> None:
    """SETSLOT MIGRATING.

    Beyond Redis: not towards a second node while the first works. Keys may be there already, and whoever
    moves the slot to the second would take them for moved.
    """
    _check_primary(view)
    if view.owners[slot] is not view.me:
        raise CommandError(f"ERR I'm not the owner of hash slot {slot}")
    target, first = _target(view, node_id, "I don't know about node"), view.migrating.get(slot)
    works = first is not None and first is not view.me and first.is_primary and not first.is_failed
    if first is not None and first is not target and works:
        raise CommandError(f"ERR Slot {slot} is on its way already to {first.id}: SETSLOT STABLE ends that")
    view.open_slot(view.migrating, slot, target)
    sent_back(view, 1 << slot, target)
    view.save()


def sent_back(view: View, slots: int, target: Node) -> None:
    """Slots go to another node: if they came from it, what it claims from now on is no claim from before."""
    for slot in members(slots):
        came_from = view.imported.get(slot)
        if came_from is not None and came_from.shard_id == target.shard_id:
            del view.imported[slot]


def set_importing(view: View, slot: int, node_id: str) -> None:
    """SETSLOT IMPORTING."""
    _check_primary(view)
    if view.owners[slot] is view.me:
        raise CommandError(f"ERR I'm already the owner of hash slot {slot}")
    if view.receiving >> slot & 1:
        raise CommandError("ERR Some of these slots are on their way already")
    view.open_slot(view.importing, slot, _target(view, node_id, "I don't know about node"))
    view.save()


def set_stable(view: View, slot: int) -> None:
    """SETSLOT STABLE."""
    _check_primary(view)
    view.open_slot(view.migrating, slot, None)
    view.open_slot(view.importing, slot, None)
    view.save()


def claimed_from(view: View, slot: int, node_id: str) -> Node | None:
    """Return from whom SETSLOT NODE takes a slot for this node; None: it takes it from nobody."""
    if node_id != view.me.id:
        return None
    owner = view.owners[slot]
    return view.importing.get(slot) or (owner if owner is not view.me else None)  # that one is dead


def set_owner(view: View, slot: int, node_id: str, keys: KeyCount, now_ms: int) -> None:
    """SETSLOT NODE.

    Beyond Redis: we take no slot from a node that works where nothing marks it as imported. Another tool took
    the mark away, or has moved the slot on since, so that the keys are elsewhere. (Redis takes it without
    a new epoch; by its own the other has it back, and the keys that came are deleted.)
    """
    _check_primary(view)
    me, node = view.me, _target(view, node_id, "Unknown node")
    owner = view.owners[slot]
    is_left = owner is None or owner is me or owner.is_failed or view.not_claiming >> slot & 1
    if node is me and slot not in view.importing and not is_left:
        raise CommandError(f"ERR Slot {slot} is another node's, and is not being imported")
    was_mine = view.owners[slot] is me
    if was_mine and node is not me and keys(slot):
        raise CommandError(
            f"ERR Can't assign hashslot {slot} to a different node "
            "while I still hold keys for this hash slot."
        )
    if not keys(slot):
        view.open_slot(view.migrating, slot, None)
    source, was_marked = claimed_from(view, slot, node_id), slot in view.importing
    if source is not None:
        _check_epoch_may_rise(view)
        if was_marked:  # what nobody works for is taken by an operator who knows what he does
            _check_majority(view, now_ms)
    is_told = view.claiming >> slot & 1  # our replicas know the epoch; who claims above it is met by `claims`
    view.claiming &= ~(1 << slot)
    view.give_slot(slot, node)
    view.must_judge = True
    view.save()
    if was_mine and node is not me:
        _follow_if_empty(view, node)
    if source is not None:
        if not is_told and must_bump(view) and table.bump_epoch(view, always=True):
            view.log(f"configEpoch updated after importing slot {slot}")
        view.imported[slot] = source
        for each in (source.group, *source.group.replicas):
            if each.link is not None:
                each.link.pings_before_claim = each.link.pings
        view.open_slot(view.importing, slot, None)
    if source is not None and was_marked:
        outgoing.pong_all(view, now_ms)


def reserve_epoch(view: View, now_ms: int) -> int:
    """Return the epoch in which slots are to be claimed, when a majority has heard that it is taken.

    The current epoch is the next one at once: who knows that votes in no smaller one. It is our config epoch
    when they have answered. Were it that before, and were we cut off meanwhile, our heir could be elected in
    the same one or a smaller one.

    Two that reserve at the same time do not take the same one: each takes one that leaves its own rest.
    """
    _check_primary(view)
    _check_epoch_may_rise(view)
    _check_majority(view, now_ms)
    voters = [each for each in view.nodes.values() if each.is_primary and (each.slots or each is view.me)]
    primaries = sorted(each.id for each in voters)
    epoch = view.highest_epoch() + 1
    epoch += (primaries.index(view.me.id) - epoch) % len(primaries)
    view.epoch = epoch + 1
    view.save()
    return epoch


def use_reserved_epoch(view: View, epoch: int, now_ms: int) -> bool:
    """Have the claim that follows take a reserved epoch; false where somebody has gone above it.

    Raises CommandError where a majority is not in reach any more, or our epoch may not rise.
    """
    _check_epoch_may_rise(view)
    _check_majority(view, now_ms)
    if epoch <= view.highest_config_epoch():
        return False
    view.reserved_epoch = epoch
    return True


def go_above(view: View, now_ms: int) -> bool:
    """Take the epoch that was reserved, for the slots that we have; tell all. False: we are fenced."""
    has_risen = table.bump_epoch(view, always=True)
    outgoing.pong_all(view, now_ms)
    return has_risen


def begin_claim(view: View, slots: int, now_ms: int) -> Told:
    """Begin to take slots whose keys are here: tell our replicas, and nobody else yet.

    Whoever of them leads after us then claims the slots. `claim_known` says how many know. A
    heartbeat may tell of the new epoch meanwhile, but of no slot. The epoch is always a new one: a replica
    that does not know of the slots has an older one then, and gets no vote of those who know.
    """
    _check_primary(view)
    _check_epoch_may_rise(view)
    view.claiming |= slots
    table.bump_epoch(view, always=True)
    told = Told()
    told.tell(view, _own_replicas(view), now_ms)
    return told


def _own_replicas(view: View) -> list[Node]:
    return [each for each in view.me.replicas if each.is_ours]


def claim_known(view: View, told: Told) -> int:
    """Return how many of our replicas have answered what told them of a claim."""
    return sum(told.has_answered(each) for each in _own_replicas(view))


def withdraw_claim(view: View, slots: int, now_ms: int) -> None:
    """Claim slots no longer: too few replicas know of it. Those that do are told."""
    if view.claiming & slots:
        view.claiming &= ~slots
        outgoing.pong_shard(view, now_ms)


def take_slots(view: View, slots: int, source: Node, now_ms: int) -> None:
    """Become the owner of slots that their owner has sent as a whole, and tell everybody.

    The claim is on stable storage before anybody hears of it, the giver too.
    """
    me = view.me
    if me.is_replica or slots & ~source.slots:
        raise CommandError("ERR These slots are not the source's, or this node is no primary")
    _check_epoch_may_rise(view)
    is_all = not view.must_sync
    if not view.claiming & slots:
        table.bump_epoch(view, always=True)
    view.claiming &= ~slots
    view.give_slots(slots, me)
    view.receiving &= ~slots
    view.must_judge = True
    view.save_claim(slots, is_all)
    outgoing.pong_all(view, now_ms)


def voters_know(view: View, told: Told, now_ms: int, source: Node | None = None) -> bool:
    """Return whether a majority of the primaries has taken in our standing since `told` began; ask the rest.

    From then on whoever is elected knows it too: a majority refuses its vote to a candidate that
    does not (`voting`), and tells it.

    `source`: from whom slots are taken. Who calls it down in what answers us has perhaps voted for its heir
    before it read ours, and does not count: votes are given only to replicas of a primary in FAIL. It is
    asked again.
    """
    voters = [each for each in view.nodes.values() if each.is_primary and each.slots]
    doubtful = [each for each in voters if source is not None and told.has_reported(each, source)]
    for each in doubtful:
        told.forget(each, now_ms)
    told.tell(view, voters, now_ms)
    knows = sum(each is view.me or told.has_answered(each) for each in voters if each not in doubtful)
    return knows > len(voters) // 2


def give_slots(view: View, slots: int, target: Node) -> None:
    """Leave slots to a node that has taken them; their keys are deleted already."""
    mine = slots & view.me.slots
    view.give_slots(mine, target)
    view.must_judge = True
    view.save()
    if mine:
        _follow_if_empty(view, target)


def _follow_if_empty(view: View, taker: Node) -> None:
    """Follow our heir, if our last slot is gone and it had the others before, else perhaps who took it."""
    me = view.me
    leader = None if me.slots else claims.heir(view, me)
    if leader is None and not me.slots and view.settings.allow_replica_migration:
        leader = taker
    if leader is not None:
        view.log(f"Configuration change detected. Reconfiguring myself as a replica of {leader.id}")
        table.follow(view, leader)


def must_bump(view: View) -> bool:
    """Whether a claim of ours takes a new epoch: that of another primary is not below ours."""
    others = (each for each in view.nodes.values() if each.is_primary and each is not view.me)
    return any(each.config_epoch >= view.me.config_epoch for each in others)


def bump_epoch(view: View, now_ms: int) -> bool:
    """BUMPEPOCH; return whether our epoch was not the highest.

    While slots are being imported it is the first word of a claim (of a tool that moves them), and no
    operator's who mends a cluster without a majority.
    """
    _check_epoch_may_rise(view)
    if not view.importing:
        return table.bump_epoch(view)
    _check_majority(view, now_ms)
    return must_bump(view) and table.bump_epoch(view, always=True)


def set_config_epoch(view: View, epoch: int) -> None:
    """SET-CONFIG-EPOCH: only for a node that knows nobody."""
    if epoch < 0:
        raise CommandError(f"ERR Invalid config epoch specified: {epoch}")
    if len(view.nodes) > 1:
        raise CommandError(
            "ERR The user can assign a config epoch only when the node does not know any other node."
        )
    if view.me.config_epoch:
        raise CommandError("ERR Node config epoch is already non-zero")
    view.me.config_epoch = epoch
    view.epoch = max(view.epoch, epoch)
    view.log(f"configEpoch set to {epoch} via CLUSTER SET-CONFIG-EPOCH")
    view.save(synced=True)
    view.must_judge = True


def check_reset(view: View, has_keys: bool) -> None:
    """Raise CommandError where RESET would delete the keys of a primary."""
    if view.me.is_primary and has_keys:
        raise CommandError("ERR CLUSTER RESET can't be called with master nodes containing keys")


def reset(view: View, hard: bool) -> None:
    """Forget the cluster; hard: who we are, too. The copy that a replica had is gone already.

    Beyond Redis, a replica leaves the shard's id behind in any case: who has it, and slots, is taken for the
    heir of the shard's primary (`claims.heir`).
    """
    me = view.me
    if me.is_replica:
        table.turn_primary(view, me)
        me.shard_id = table.random_id(view)
    view.has_foreign_copy = False
    table.close_slots(view)
    table.end_manual_failover(view)
    for each in view.others():
        table.remove(view, each)
    view.give_slots(me.slots, None)
    view.not_claiming = 0
    view.forgotten.clear()
    view.election = Election()
    if hard:
        view.epoch = view.voted_epoch = me.config_epoch = 0
        me.shard_id = table.random_id(view)
        view.rename(me, table.random_id(view))
        view.log(f"Node hard reset, now I'm {me.id}")
    view.save(synced=True)
    view.must_judge = True


def failover(view: View, manner: str, now_ms: int) -> None:
    """CLUSTER FAILOVER [FORCE | TAKEOVER]."""
    me = view.me
    if me.is_primary:
        raise CommandError("ERR You should send CLUSTER FAILOVER to a replica")
    if me.primary is None:
        raise CommandError("ERR I'm a replica but my master is unknown to me")
    is_reachable = not me.primary.is_failed and me.primary.link is not None
    if not manner and not is_reachable:
        raise CommandError("ERR Master is down or failed, please use CLUSTER FAILOVER FORCE")
    if manner == "TAKEOVER":
        view.log("Taking over the master (user request).")
        table.end_manual_failover(view)
        table.bump_epoch(view)
        election.lead(view, now_ms)
    else:
        manual.requested(view, manner == "FORCE", now_ms)


def publish(view: View, channel: bytes, text: bytes, is_sharded: bool) -> None:
    """Spread a message: to all nodes, or (sharded) to those of this shard."""
    kind = messages.PUBLISHSHARD if is_sharded else messages.PUBLISH
    message = outgoing.make(view, kind, channel=channel, text=text)
    if not is_sharded:
        outgoing.broadcast(view, message)
        return
    group = view.me.group
    for each in view.others():
        if each.group is group and not each.in_handshake:
            outgoing.send(view, each.link, message)
