"""Who owns which slot, when two say different: the higher config epoch.

What it is: what is done with the slots that a message claims. What it is not: elections,
or orders of an operator.

Invariants: a slot changes hands only to a claim of a higher config epoch, or when nobody
claims it; while we import it, only to an heir. A primary that lost its last slot follows whoever took
it. Equal epochs of two primaries are told apart by their ids: the smaller id moves on.
"""

from __future__ import annotations

from holdfast.cluster import messages, outgoing, slots, table
from holdfast.cluster.messages import Message
from holdfast.cluster.model import Node, View


def claim(view: View, claimant: Node, epoch: int, claimed: int, tells_shard: bool = False) -> None:
    """Take note that a primary claims these slots, and no others, in its epoch.

    `tells_shard`: it says so itself, and of which shard it is.
    """
    me = view.me
    if claimant is me:
        return
    current = me if me.is_primary else me.primary
    is_deposed = deposes(view, claimant, epoch, claimed, tells_shard)
    dropped = claimant.slots & ~claimed
    if epoch < claimant.config_epoch:
        dropped = 0  # it came by another connection, and is older than a claim that we know of
    view.not_claiming = (view.not_claiming & ~(claimed & claimant.slots)) | dropped
    stale = _claimed_from_before(view, claimant, claimed) if view.imported else 0
    wanted = claimed & ~claimant.slots & ~stale
    if view.importing:
        wanted &= ~_still_imported(view, claimant)
    gained = _gained(view, claimant, epoch, wanted) if wanted else 0
    if stale:
        _go_above(view, claimant, epoch)
    given_back = _imported_again(view, claimant, gained)
    lost = me.slots & gained & ~given_back
    taken_from_us = current.slots & gained if current is not None else 0
    if gained:
        view.give_slots(gained, claimant)
        for slot in slots.members(given_back):
            view.open_slot(view.importing, slot, claimant)
        for slot in [slot for slot in view.importing if gained >> slot & 1]:
            view.open_slot(view.importing, slot, claimant)
        # Who forgets another's claim hears of it again; but our primary may count on us to know its own, and
        # a claimant on what we gave up: it serves these slots when it has heard that (`node.slot_claim`).
        view.save(synced=claimant is me.primary or (bool(lost) and view.is_bound))
        view.must_judge = True
    leader = None
    if is_deposed:
        if me.slots:
            view.log(f"Giving up {me.slots.bit_count()} slots: my heir does not know them, nobody was served")
            view.give_slots(me.slots, None)
        leader = claimant
    elif taken_from_us and current is not None and not current.slots:
        leader = heir(view, current)
        if leader is None and (view.settings.allow_replica_migration or claimed == taken_from_us):
            leader = claimant
    elif me.is_replica and current is not None and not current.slots and heir(view, current) is claimant:
        leader = claimant  # an old message had made us believe that our primary had no slots
    if leader is not None:
        view.log(f"Configuration change detected. Reconfiguring myself as a replica of {leader.id}")
        table.follow(view, leader)
    elif not follow_grand_primary(view):
        view.lost |= lost


def follow_grand_primary(view: View) -> bool:
    """Follow our primary's primary, if it has become a replica; return whether we do."""
    primary = view.me.primary
    if primary is None or primary.primary is None or primary.primary is view.me:
        return False
    view.log("I'm a sub-replica! Reconfiguring myself as a replica of the grandmaster")
    table.follow(view, primary.primary)
    return True


def deposes(view: View, claimant: Node, epoch: int, claimed: int, tells_shard: bool) -> bool:
    """Whether this fenced primary hears its heir: what it has besides was claimed, and never in force.

    A node of ours tells of which shard it is: what we remember of that may be from before it was reset. A
    stock node keeps the id even then; it is an heir where it takes slots of ours.
    """
    me = view.me
    if not view.is_fenced or not me.is_primary or not claimed or epoch < me.config_epoch:
        return False
    is_sure = tells_shard if claimant.is_ours else bool(claimed & me.slots)
    return is_sure and claimant.shard_id == me.shard_id


def _still_imported(view: View, claimant: Node) -> int:
    """Return slots of which we believe no claim, as we import them and are to claim them ourselves.

    Beyond Redis, an heir is believed: ours has what we were importing, and who leads in the stead of the
    node that we import from is the one to import from. (Else a slot would be a dead node's for us.)
    """
    if claimant.shard_id == view.me.shard_id:
        return 0
    return slots.of_slots(slot for slot, peer in view.importing.items() if peer.shard_id != claimant.shard_id)


def heard(view: View, sender: Node, claimed: int) -> None:
    """Note which of the slots that we took from a primary are not claimed any more by who leads its shard.

    The message answers what we sent behind our claim: one that was under way may be older than what we took,
    from when that primary had not got the slot yet. What a replica shows are the slots of its primary, as far
    as it knows them: that says something only from our own.
    """
    if sender.is_replica and sender.primary is not view.me:
        return
    for slot, peer in list(view.imported.items()):
        knows = peer.group is sender.group and (sender.is_replica or not claimed >> slot & 1)
        if knows or view.owners[slot] is not view.me:
            del view.imported[slot]


def _claimed_from_before(view: View, claimant: Node, claimed: int) -> int:
    """Return slots that we took, and whose former owner claims them as it has not heard of it yet.

    The keys are here. It may have taken a new epoch for another reason meanwhile: see `_go_above`.
    """
    taken = slots.of_slots(slot for slot, peer in view.imported.items() if peer is claimant)
    return taken & claimed & view.me.slots


def _go_above(view: View, claimant: Node, epoch: int) -> None:
    """Take a higher epoch than the former owner of a slot that we took has, if it has not a smaller one.

    What it claims by right is its own before that: it may have taken slots of ours at the same moment, and
    each would go above the other without end. Where it has our epoch and the smaller id it will move on by
    itself (`resolve_collision`): did both, they might meet again in the next epoch, and so on.
    """
    me = view.me
    is_ours_to_rise = epoch > me.config_epoch or (epoch == me.config_epoch and me.id < claimant.id)
    if is_ours_to_rise and not view.giving and not _may_have_heir(view):
        view.epoch = max(view.epoch, epoch)
        table.bump_epoch(view, always=True)


def _may_have_heir(view: View) -> bool:
    """Whether we are cut off from a majority, which may have elected an heir of ours: our epoch stays."""
    return view.in_minority and bool(view.size)


def _imported_again(view: View, claimant: Node, gained: int) -> int:
    """Return slots that we took, and an heir of their former owner gets: they are being imported again.

    It was elected by those who had not heard of our claim, so nobody was served; the keys that came are here.
    """
    again = 0
    for slot in [slot for slot in view.imported if gained >> slot & 1]:
        if view.imported.pop(slot).shard_id == claimant.shard_id:
            again |= 1 << slot
    return again


def heir(view: View, former: Node) -> Node | None:
    """Return who leads a shard in the stead of its former primary, whose slots are all gone by now.

    Some may have gone to other shards, before or after: that makes nobody of this shard one of theirs.
    """
    heirs = (each for each in view.nodes.values() if each.is_primary and each.slots and each is not view.me)
    return next((each for each in heirs if each.shard_id == former.shard_id), None)


def _gained(view: View, claimant: Node, epoch: int, wanted: int) -> int:
    """Return which of the slots are theirs by right."""
    unowned, weaker = wanted, 0
    yields = view.is_fenced and claimant.shard_id == view.me.shard_id
    for each in view.nodes.values():
        if each.slots & wanted:
            unowned &= ~each.slots
            if each is not claimant and each.config_epoch < epoch + int(yields and each is view.me):
                weaker |= each.slots & wanted
    return unowned | weaker | (wanted & view.not_claiming)


def tell_newer(view: View, sender: Node, message: Message) -> None:
    """Send UPDATE about those who hold slots by a higher epoch than the sender claims them.

    Our own primary speaks for itself: what it told us may be a claim that only its shard knows yet, and
    that it takes back where too few of us answer (`orders.begin_claim`).
    """
    for each in view.nodes.values():
        if each is sender or each is view.me.primary or not each.slots & message.slots & ~view.not_claiming:
            continue
        if each.config_epoch > message.config_epoch:
            update = outgoing.make(
                view,
                messages.UPDATE,
                about=each.id,
                about_epoch=each.config_epoch,
                about_slots=each.slots & ~view.not_claiming,
            )
            outgoing.send(view, sender.link, update)


def resolve_collision(view: View, other: Node) -> None:
    """Move to a fresh epoch if another primary has ours and the greater id."""
    me = view.me
    if other.config_epoch != me.config_epoch or not other.is_primary or not me.is_primary:
        return
    if other.id <= me.id or view.giving or view.is_fenced or _may_have_heir(view):
        return  # a fenced primary was deposed, perhaps by the other: it must not go above it
    view.epoch = view.highest_epoch() + 1
    me.config_epoch = view.epoch
    view.save(synced=True)
    view.log(
        f"WARNING: configEpoch collision with node {other.id} ({other.human_name}). "
        f"configEpoch set to {me.config_epoch}",
        "verbose",
    )


def updated(view: View, message: Message) -> None:
    """Take an UPDATE: somebody holds slots by a higher epoch than we knew."""
    node = view.node(message.about)
    if node is None or node.config_epoch >= message.about_epoch:
        return
    if node is view.me:
        return
    table.turn_primary(view, node)
    node.config_epoch = message.about_epoch
    view.save()
    claim(view, node, message.about_epoch, message.about_slots)
