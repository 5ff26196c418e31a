"""CLUSTER: what changes the cluster (https://redis.io/commands/cluster-setslot/ and around it).

The index of the family is `register`. Here arguments are read; `node.doors.cluster` decides,
and does. Not here: questions (`cluster`).
"""

from __future__ import annotations

from holdfast.commands.subcommands import Row, add_subcommands
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import OK, CommandError
from holdfast.server.commands.cluster import SLOTS, cluster_of
from holdfast.server.commands.words import Args, integer, text

SYNTAX = "ERR syntax error"
BUS_PORT_AHEAD = 10000


# ---- nodes ----


def meet(session: Session, args: Args) -> object:
    """CLUSTER MEET ip port [bus-port]."""
    cluster = cluster_of(session)
    if len(args) > 5:
        raise _unknown(args)
    port = _number(args[3])
    if port is None:
        raise CommandError(f"ERR Invalid base port specified: {text(args[3])}")
    bus_port: int | None = port + BUS_PORT_AHEAD
    if len(args) == 5:
        bus_port = _number(args[4])
        if bus_port is None:
            raise CommandError(f"ERR Invalid bus port specified: {text(args[4])}")
    assert bus_port is not None
    if not cluster.meet(text(args[2]), port, bus_port):
        raise CommandError(f"ERR Invalid node address specified: {text(args[2])}:{text(args[3])}")
    return OK


def forget(session: Session, args: Args) -> object:
    """CLUSTER FORGET node-id."""
    cluster_of(session).forget(text(args[2]))
    return OK


def replicate(session: Session, args: Args) -> object:
    """CLUSTER REPLICATE node-id."""
    cluster_of(session).replicate(text(args[2]))
    return OK


def failover(session: Session, args: Args) -> object:
    """CLUSTER FAILOVER [FORCE | TAKEOVER]."""
    cluster = cluster_of(session)
    if len(args) > 3:
        raise _unknown(args)
    manner = text(args[2]).upper() if len(args) == 3 else ""
    if manner not in ("", "FORCE", "TAKEOVER"):
        raise CommandError(SYNTAX)
    cluster.failover(manner)
    return OK


def reset(session: Session, args: Args) -> object:
    """CLUSTER RESET [HARD | SOFT]."""
    cluster = cluster_of(session)
    if len(args) > 3:
        raise _unknown(args)
    manner = text(args[2]).upper() if len(args) == 3 else "SOFT"
    if manner not in ("HARD", "SOFT"):
        raise CommandError(SYNTAX)
    cluster.reset(manner == "HARD")
    return OK


# ---- slots ----


def add_slots(session: Session, args: Args) -> object:
    """CLUSTER ADDSLOTS slot [slot ...]."""
    cluster = cluster_of(session)
    cluster.add_slots(_one_by_one(session, args, taken=True))
    return OK


def delete_slots(session: Session, args: Args) -> object:
    """CLUSTER DELSLOTS slot [slot ...]."""
    cluster = cluster_of(session)
    cluster.delete_slots(_one_by_one(session, args, taken=False))
    return OK


def add_ranges(session: Session, args: Args) -> object:
    """CLUSTER ADDSLOTSRANGE first last [first last ...]."""
    cluster = cluster_of(session)
    cluster.add_slots(_in_ranges(session, args, taken=True))
    return OK


def delete_ranges(session: Session, args: Args) -> object:
    """CLUSTER DELSLOTSRANGE first last [first last ...]."""
    cluster = cluster_of(session)
    cluster.delete_slots(_in_ranges(session, args, taken=False))
    return OK


def flush_slots(session: Session, args: Args) -> object:
    """CLUSTER FLUSHSLOTS."""
    cluster = cluster_of(session)
    if session.engine.key_count(0):
        raise CommandError("ERR DB must be empty to perform CLUSTER FLUSHSLOTS.")
    cluster.delete_slots(cluster.me.slots)
    return OK


def set_slot(session: Session, args: Args) -> object:
    """CLUSTER SETSLOT slot IMPORTING id | MIGRATING id | STABLE | NODE id."""
    cluster = cluster_of(session)
    if cluster.me.is_replica:
        raise CommandError("ERR Please use SETSLOT only with masters.")
    slot = _slot(args[2])
    action = text(args[3]).upper()
    if action == "STABLE" and len(args) == 4:
        cluster.set_stable(slot)
    elif action == "MIGRATING" and len(args) == 5:
        cluster.set_migrating(slot, text(args[4]))
    elif action == "IMPORTING" and len(args) == 5:
        cluster.set_importing(slot, text(args[4]))
    elif action == "NODE" and len(args) == 5:
        return cluster.set_owner(slot, text(args[4]), session)
    else:
        raise CommandError("ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP")
    return OK


def _one_by_one(session: Session, args: Args, *, taken: bool) -> int:
    """Return the set of slots that an order names; each must be free (`taken`) or have an owner."""
    chosen = 0
    for slot in [_slot(each) for each in args[2:]]:
        chosen = _choose(session, chosen, slot, taken)
    return chosen


def _in_ranges(session: Session, args: Args, *, taken: bool) -> int:
    if len(args) % 2:
        raise CommandError(f"ERR wrong number of arguments for 'cluster|{text(args[1]).lower()}' command")
    chosen = 0
    for start, end in zip(args[2::2], args[3::2], strict=True):
        first, last = _slot(start), _slot(end)
        if first > last:
            raise CommandError(f"ERR start slot number {first} is greater than end slot number {last}")
        for slot in range(first, last + 1):
            chosen = _choose(session, chosen, slot, taken)
    return chosen


def _choose(session: Session, chosen: int, slot: int, taken: bool) -> int:
    owner = cluster_of(session).owner(slot)
    if taken and owner is not None:
        raise CommandError(f"ERR Slot {slot} is already busy")
    if not taken and owner is None:
        raise CommandError(f"ERR Slot {slot} is already unassigned")
    if chosen >> slot & 1:
        raise CommandError(f"ERR Slot {slot} specified multiple times")
    return chosen | 1 << slot


def _slot(word: bytes) -> int:
    slot = _number(word)
    if slot is None or not 0 <= slot < SLOTS:
        raise CommandError("ERR Invalid or out of range slot")
    return slot


def _number(word: bytes) -> int | None:
    try:
        return integer(word)
    except CommandError:
        return None


# ---- epochs and the file ----


def bump_epoch(session: Session, args: Args) -> object:
    """CLUSTER BUMPEPOCH."""
    return cluster_of(session).bump_epoch(session)


def set_config_epoch(session: Session, args: Args) -> object:
    """CLUSTER SET-CONFIG-EPOCH epoch."""
    cluster_of(session).set_config_epoch(integer(args[2]))
    return OK


def save_config(session: Session, args: Args) -> object:
    """CLUSTER SAVECONFIG."""
    try:
        cluster_of(session).save()
    except OSError as error:
        raise CommandError(f"ERR error saving the cluster node config: {error.strerror}") from error
    return OK


def _unknown(args: Args) -> CommandError:
    return CommandError(
        f"ERR unknown subcommand or wrong number of arguments for '{text(args[1])[:128]}'. Try CLUSTER HELP."
    )


def register(engine: Engine) -> None:
    """The index of the family."""
    writes = "admin stale no_async_loading"
    over_slots = "O(N) where N is the total number of hash slot arguments"
    over_ranges = (
        "O(N) where N is the total number of the slots between the start slot and end slot arguments."
    )
    index: tuple[Row, ...] = (
        ("addslots", -3, writes, "3.0.0", add_slots, "Take slots for this node.", over_slots),
        ("addslotsrange", -4, writes, "7.0.0", add_ranges, "Take ranges of slots for this node.",
         over_ranges),
        ("bumpepoch", 2, writes, "3.0.0", bump_epoch, "Give this node a new config epoch.", "O(1)"),
        ("delslots", -3, writes, "3.0.0", delete_slots, "Forget who serves slots.", over_slots),
        ("delslotsrange", -4, writes, "7.0.0", delete_ranges, "Forget who serves ranges of slots.",
         over_ranges),
        ("failover", -2, writes, "3.0.0", failover, "Make this replica the primary.", "O(1)"),
        ("flushslots", 2, writes, "3.0.0", flush_slots, "Give up all slots of this node.", "O(1)"),
        ("forget", 3, writes, "3.0.0", forget, "Remove a node from the cluster.", "O(1)"),
        ("meet", -4, writes, "3.0.0", meet, "Join with another node.", "O(1)"),
        ("replicate", 3, writes, "3.0.0", replicate, "Become a replica of a node.", "O(1)"),
        ("reset", -2, "admin noscript stale", "3.0.0", reset, "Leave the cluster.",
         "O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect."),
        ("saveconfig", 2, writes, "3.0.0", save_config, "Write the cluster's configuration to disk.", "O(1)"),
        ("set-config-epoch", 3, writes, "3.0.0", set_config_epoch, "Set the config epoch of a new node.",
         "O(1)"),
        ("setslot", -4, writes, "3.0.0", set_slot, "Set the state of a slot.", "O(1)"),
    )  # fmt: skip
    add_subcommands(engine, "cluster", index, group="cluster")
