"""The node's state file: what it must still know after any crash.

What this is: the durable half of the fence machine, as a value with a text
form: who the node is, the fence that it took, the epoch it last led or followed
in, and whether its copy can be trusted after a restart.

What this is not: the writing. `fence` says when it must be on stable storage
(its effect `Persist`), the plumbing writes a new file, fsyncs, renames and
fsyncs the directory. The member set is not kept here: it travels in the stream.

How to read it: `NodeState`, then `intact_after_start`, which is the whole of what a
restart means, then the text form.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from holdfast.replication.set_record import Position

STATE_VERSION = 1


class StateFileError(ValueError):
    """The file is there and cannot be read. The node must not start as if it were new under the same id."""


NOWHERE = Position(0, 0)


@dataclass(frozen=True, slots=True)
class NodeState:
    """What is fsynced. Invariant: term_epoch <= fence_epoch."""

    node_id: str
    fence_epoch: int = 0
    """The highest epoch whose leader was promised obedience; 0: no manager was ever seen."""
    fence_leader: str = ""
    """Who fenced in that epoch; empty where the node only followed a primary of it."""
    term_epoch: int = 0
    """The epoch in which the node last led or followed. No fence of that epoch is taken any more."""
    is_primary: bool = False
    intact: bool = True
    """The copy has lost nothing that the node ever acknowledged, as of the last writing."""
    stopped_cleanly: bool = False
    """Set by the last act of a clean shutdown, cleared by the first act of a start."""
    stopped_at: Position = NOWHERE
    """Where the copy stood at that shutdown."""
    acknowledges_after_fsync: bool = False
    """Every acknowledgement came after the stream was fsynced (appendfsync always)."""
    under_lease: bool = False
    """Sentinels grant a lease: after a restart a primary takes no writes until a leader confirms it."""

    def encode(self) -> bytes:
        """Return the file's content."""
        return json.dumps({"version": STATE_VERSION, **asdict(self)}, sort_keys=True).encode() + b"\n"


def intact_after_start(state: NodeState, loaded: Position) -> bool:
    """Tell whether a copy just loaded up to `loaded` has lost nothing that the node ever acknowledged.

    A restart ends it, unless the shutdown was clean and all of it was loaded again, or
    every acknowledgement came after an fsync.
    """
    if not state.intact:
        return False
    return state.acknowledges_after_fsync or (state.stopped_cleanly and loaded >= state.stopped_at)


def decode_node_state(content: bytes) -> NodeState:
    """Return the state that a file holds. Raises StateFileError with the reason."""
    try:
        fields = json.loads(content)
        if not isinstance(fields, dict) or fields.pop("version", None) != STATE_VERSION:
            raise StateFileError("the state file is of another version")
        epoch, offset = fields.pop("stopped_at")
        state = NodeState(stopped_at=Position(epoch, offset), **fields)
    except (ValueError, TypeError, KeyError) as error:
        raise StateFileError(f"the state file is broken: {error}") from error
    _check(state)
    return state


def _check(state: NodeState) -> None:
    counts = (state.fence_epoch, state.term_epoch, *state.stopped_at)
    switches = (
        state.is_primary,
        state.intact,
        state.stopped_cleanly,
        state.acknowledges_after_fsync,
        state.under_lease,
    )
    texts = (state.node_id, state.fence_leader)
    sound = (
        all(type(each) is int and each >= 0 for each in counts)
        and all(type(each) is bool for each in switches)
        and all(type(each) is str for each in texts)
        and bool(state.node_id)
        and state.term_epoch <= state.fence_epoch
    )
    if not sound:
        raise StateFileError("the state file is broken: a field has an impossible value")
