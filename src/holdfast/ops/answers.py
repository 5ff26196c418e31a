"""What a supervisor does for other commands: tells how it is, sends signals, stops.

What it is: the meaning of the requests that `control` carries. What it is not: the carrying, or
the life of the processes (`supervisor`).

How to read it: `answer` does one request; `status` is the longest answer.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from holdfast.ops.starting import Slot, State
from holdfast.ops.supervisor import Supervisor


def answer(supervisor: Supervisor, asked_for: dict[str, Any]) -> dict[str, Any]:
    """Do what a command asks. Raises ValueError for what makes no sense."""
    match asked_for.get("do"):
        case "status":
            return status(supervisor)
        case "stop":
            supervisor.stop_wanted.set()
            return {}
        case "signal":
            slot = _slot(supervisor, asked_for)
            number = signal.Signals[f"SIG{asked_for['signal']}"]
            at = _send(slot, number)
            if number in (signal.SIGSTOP, signal.SIGCONT):
                slot.state = State.PAUSED if number is signal.SIGSTOP else State.RUNNING
            supervisor.tell(slot.planned.name, f"was sent {number.name} on request")
            return {"at": at}
        case "restart":
            slot = _slot(supervisor, asked_for)
            slot.is_emptied_next = bool(asked_for.get("empty"))
            number = signal.SIGKILL if asked_for.get("crash") else signal.SIGTERM
            at = _send(slot, number)
            supervisor.tell(slot.planned.name, f"is restarted on request ({number.name})")
            return {"at": at}
    raise ValueError(f"nobody can do {asked_for.get('do')!r}")


def status(supervisor: Supervisor) -> dict[str, Any]:
    """Return the processes and what happened last."""
    return {
        "supervisor": os.getpid(),
        "processes": {
            name: {
                "kind": slot.planned.kind.value,
                "address": str(slot.planned.address),
                "pid": slot.child.pid if slot.child is not None else 0,
                "state": slot.state.value,
                "restarts": slot.restarts,
                "note": slot.note,
            }
            for name, slot in supervisor.slots.items()
        },
        "happenings": [[each.at, each.source, each.text] for each in supervisor.happenings],
    }


def _slot(supervisor: Supervisor, asked_for: dict[str, Any]) -> Slot:
    slot = supervisor.slots.get(str(asked_for.get("process")))
    if slot is None:
        raise ValueError(f"no such process here: {', '.join(supervisor.slots)}")
    return slot


def _send(slot: Slot, number: signal.Signals) -> float:
    """Send a signal; return when, in seconds since 1970."""
    at = time.time()
    if slot.child is None or not slot.child.send(number):
        raise ValueError(f"{slot.planned.name} does not run")
    return at
