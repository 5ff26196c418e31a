"""Redirection: whether this node of a cluster serves the keys of a request."""

from collections.abc import Iterable, Sequence

from holdfast.engine.state import Engine

Rule = tuple[int, int, int, int, int, int, int, bytes]
"""begin, begin_from, last, step, limit, keynum (-1: a range), first, keyword (b"": none)."""

def enter_cluster_mode(engine: Engine) -> None:
    """Make the engine ask where keys are; all commands must be declared. Nobody owns a slot yet."""

def set_key_rules(
    engine: Engine,
    command: str,
    kind: str,
    rules: Sequence[Rule] = (),
    channels: bool = False,
    moves_keys: bool = False,
) -> None:
    """Say where a command's keys are: kind is "none", "queued", "asked" or "rules"."""

def set_owners(engine: Engine, first: int, last: int, owner: int) -> None:
    """Set who owns a run of slots that are not being moved; both ends belong to it."""

def set_slot(engine: Engine, slot: int, owner: int, target: int, importing: bool) -> None:
    """Set who owns a slot, where it is being moved (0: nowhere), and whether it is being moved to us."""

def set_nodes(engine: Engine, nodes: list[object], primary: int) -> None:
    """Set the nodes by number (`Engine.endpoint_of` is asked about them), and which is our primary (or 0)."""

def set_state(engine: Engine, serves: bool, reads_when_down: bool, channels_when_down: bool) -> None:
    """Set whether the cluster serves, and what is served when it does not."""

def begin_transit(engine: Engine, slot: int) -> None:
    """Keys of a slot are on their way to another node: writes to the slot wait until they have arrived."""

def end_transit(engine: Engine, slot: int) -> None:
    """The keys have arrived, or not; what waited runs."""

def hold_slots(engine: Engine, slots: Iterable[int]) -> None:
    """These slots are about to travel as a whole: writes to them wait."""

def close_slots(engine: Engine, slots: Iterable[int]) -> None:
    """Slots that are held are about to be another node's: reads wait, too."""

def release_slots(engine: Engine, slots: Iterable[int], closed: bool) -> None:
    """It is decided whose the slots are; what waited runs."""

def slot_of_key(key: bytes) -> int:
    """Return the hash slot of a key or a shard channel."""

def owner_of_slot(engine: Engine, slot: int) -> int:
    """Return the index of the node that owns a slot, as last told."""

def redirect_parked(engine: Engine) -> None:
    """Send away the sessions that wait for keys which this node no longer serves."""
