"""FAILOVER carried out: pausing writes, waiting, becoming the target's replica.

What this is: the acting half of `failover_command`. What it is not: the machine.

How to read it: `command` starts or aborts, `look` is called after acknowledgements and
as time passes; `_act` does what the machine says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.engine import effects
from holdfast.engine.values import OK, CommandError
from holdfast.replication.attachments import Stage
from holdfast.replication.failover_command import (
    Act,
    FailoverMachine,
    FailoverRefused,
    Outcome,
    Phase,
    Target,
    parse_failover,
)
from holdfast.replication.ports import Node, now_ms
from holdfast.replication.stream import Stream
from holdfast.replication.waiting import GETACK


class HandOver:
    """The hand-over of one node. The callables are the acts: pause, resume, follow the target, lead again."""

    def __init__(
        self,
        node: Node,
        stream: Stream,
        pause: Callable[[bool], None],
        follow: Callable[[str, int], None],
        lead_again: Callable[[], None],
    ) -> None:
        self._node = node
        self._stream = stream
        self._pause = pause
        self._follow = follow
        self._lead_again = lead_again
        self.machine = FailoverMachine()

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        return self.machine.phase

    @property
    def is_under_way(self) -> bool:
        """Whether a hand-over has begun and not ended."""
        return self.machine.phase is not Phase.NONE

    def command(self, arguments: Sequence[str]) -> object:
        """FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT ms]."""
        try:
            request = parse_failover(arguments)
            is_replica = self._stream.is_forwarding and not self.is_under_way
            outcome = self.machine.begin(request, is_replica, self._targets(), now_ms(self._node))
        except FailoverRefused as refusal:
            raise CommandError(str(refusal)) from None
        self._obey(outcome)
        if self.machine.phase is Phase.WAITING_FOR_SYNC and self._stream.replicas:
            # By themselves replicas say once a second how far they are: too long for a pause.
            effects.append_command(self._node.engine, GETACK)
        self.look()
        return OK

    def look(self) -> None:
        """Look whether the target has everything, or the time is over; must run inside a tick."""
        if self.machine.phase is Phase.WAITING_FOR_SYNC:
            self._node.deliver_effects()
            self._obey(self.machine.check(self._targets(), self._stream.offset, now_ms(self._node)))

    def answer(self, accepted: bool, reason: str) -> None:
        """Note what the target says."""
        self._obey(self.machine.target_accepted() if accepted else self.machine.target_refused(reason))

    def _targets(self) -> list[Target]:
        return [
            Target(
                each.ip,
                each.listening_port,
                each.attachment.acknowledged_offset,
                each.stage is Stage.ONLINE,
            )
            for each in self._stream.replicas
        ]

    def _obey(self, outcome: Outcome) -> None:
        if outcome.log:
            self._node.log.notice(outcome.log)
        for act in outcome.acts:
            match act:
                case Act.PAUSE_WRITES:
                    self._pause(True)
                case Act.RESUME_WRITES:
                    self._pause(False)
                case Act.BECOME_REPLICA_OF_TARGET:
                    assert self.machine.target is not None
                    self._follow(*self.machine.target)
                case Act.BECOME_PRIMARY_AGAIN:
                    self._lead_again()
