"""CLUSTER FAILOVER: a replica takes over from a primary that works.

What it is: the steps on both sides. What it is not: the election that follows (`election`).

In its default form nothing is lost: the primary holds its writers back and says at which
offset; the replica asks for votes when it holds everything up to there.
"""

from __future__ import annotations

from holdfast.cluster import messages, outgoing, table
from holdfast.cluster.effects import LookAgain, PauseWrites, Then
from holdfast.cluster.messages import Message
from holdfast.cluster.model import Election, Link, ManualFailover, Node, View

TIMEOUT_MS = 5000
ASK_AGAIN_MS = 100
LOOK_MS = 2
"""How soon to look again whether the rest of the stream has come."""
PAUSE_MS = 2 * TIMEOUT_MS


def requested(view: View, force: bool, now_ms: int) -> None:
    """Begin, on the replica: ask the primary to hold its writers back, or (force) go ahead."""
    primary = view.me.primary
    assert primary is not None
    table.end_manual_failover(view)
    view.manual = ManualFailover(end_ms=now_ms + TIMEOUT_MS, can_start=force, is_forced=force)
    view.election = Election()
    if force:
        view.log("Forced failover user request accepted.")
        view.must_elect = True
    else:
        view.log("Manual failover user request accepted.")
        _ask_to_pause(view, primary, now_ms)


def _ask_to_pause(view: View, primary: Node, now_ms: int) -> None:
    """Ask, and ask again: a primary that does not yet know us as its replica says nothing."""
    view.manual.asked_ms = now_ms
    outgoing.send(view, primary.link, outgoing.make(view, messages.MFSTART))
    view.do(LookAgain(ASK_AGAIN_MS))


def asked_to_pause(view: View, link: Link, replica: Node, now_ms: int) -> None:
    """Hold writers back, on the primary, and tell the replica where the stream stands by then.

    That may be later: while nodes.conf is on its way to the disk, effects wait, and clients write on.
    """
    if replica.primary is not view.me or view.giving:
        return  # who votes for it now may have not heard of who takes our slots; it asks again
    if view.manual.replica is not replica:  # else it asks again: no writer may slip through meanwhile
        table.end_manual_failover(view)
        view.log(f"Manual failover requested by replica {replica.id} ({replica.human_name}).")
    view.manual = begun = ManualFailover(end_ms=now_ms + TIMEOUT_MS, replica=replica)
    view.do(PauseWrites(now_ms + PAUSE_MS))

    def paused(is_written: bool) -> None:
        if view.manual is begun and is_written:
            begun.is_paused = True
            outgoing.ping(view, link, messages.PING, now_ms)

    view.do(Then(paused))


def heard_primary(view: View, message: Message) -> None:
    """Take the offset of a primary that holds its writers back."""
    manual = view.manual
    if manual.end_ms and manual.primary_offset == -1 and message.message_flags & messages.PAUSED:
        manual.primary_offset = message.offset
        view.log(f"Received replication offset for paused master manual failover: {message.offset}")


def consider(view: View, now_ms: int) -> None:
    """Go on as far as it goes; give up when it took too long."""
    manual = view.manual
    if not manual.end_ms:
        return
    if now_ms > manual.end_ms:
        view.log("Manual failover timed out.", "warning")
        table.end_manual_failover(view)
        return
    primary = view.me.primary
    if primary is None or manual.can_start:
        return
    if manual.primary_offset == -1:
        if now_ms - manual.asked_ms >= ASK_AGAIN_MS:
            _ask_to_pause(view, primary, now_ms)
        return
    if view.my_offset >= manual.primary_offset:
        manual.can_start = True
        view.must_elect = True
        view.log("All master replication stream processed, manual failover can start.")
    else:
        view.do(LookAgain(LOOK_MS))  # writers wait
