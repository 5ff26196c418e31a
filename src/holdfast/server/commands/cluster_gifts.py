"""CLUSTER GIVE, TAKE and TAKEN: slots that travel as a whole between nodes of ours.

No command of Redis: a stock node answers that it knows no such subcommand. The index of the family
is `register`. Here arguments are read; `node.doors.cluster` does the rest, and
`src/holdfast/node/slot_giver.py` says in which order.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.commands.spec import Spec
from holdfast.engine.registry import add_function
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import NO_REPLY, CommandError
from holdfast.server.commands.cluster import SLOTS, cluster_of
from holdfast.server.commands.words import Args, integer, text

BAD_SLOT = "ERR Invalid or out of range slot"


def give(session: Session, args: Args) -> object:
    """CLUSTER GIVE node-id slot [slot ...]: returns the number of keys that the target has now."""
    cluster_of(session).give(session, text(args[2]), _slots(args[3:]))
    return NO_REPLY


def take(session: Session, args: Args) -> object:
    """CLUSTER TAKE BEGIN token source-id slot ... | KEYS token [key at-ms payload ...] | STORE | CLAIM."""
    step = text(args[2]).upper()
    if step == "BEGIN":
        if len(args) < 6:
            raise CommandError("ERR syntax error")
        _slots(args[5:])
    if step == "KEYS":
        for word in args[5::3]:
            integer(word)
    return cluster_of(session).take(session, step, args[3], args[4:])


def taken(session: Session, args: Args) -> object:
    """CLUSTER TAKEN token source-id target-id slot [slot ...]: +CLAIMED, or (not so) +DROPPED or +UNKNOWN."""
    return cluster_of(session).taken(args[2], text(args[3]), text(args[4]), _slots(args[5:]))


def _slots(words: Args) -> int:
    chosen = 0
    for word in words:
        chosen |= 1 << integer(word, BAD_SLOT, 0, SLOTS - 1)
    return chosen


def register(engine: Engine) -> None:
    """The index of the family."""
    index: tuple[tuple[str, int, str, Callable[[Session, Args], object], str], ...] = (
        ("give", -4, "admin noscript no_multi no_async_loading", give,
         "Send slots to another node of Holdfast as a whole."),
        ("take", -4, "write denyoom admin noscript no_multi no_async_loading", take,
         "A step of taking slots as a whole."),
        ("taken", -6, "admin noscript no_multi no_async_loading", taken,
         "Tell whether slots sent as a whole were claimed; if not, they will not be."),
    )  # fmt: skip
    for name, arity, flags, function, summary in index:
        spec = Spec(f"cluster|{name}", arity, flags, group="cluster", since="7.2.0", summary=summary,
                    complexity="O(N) in the size of the slots")  # fmt: skip
        add_function(engine, spec, function)
