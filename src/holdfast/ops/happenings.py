"""What happens, as values: from the supervisor and from Sentinels, and in words that people use.

What it is: pure, from Sentinel's event and payload to a sentence. What it is not: how events
are collected (`watch`), or what happens in a cluster (`shard_changes`).

How to read it: `Happening`, then `in_words`, then `Repeated`. The events are those of
https://redis.io/docs/management/sentinel/ ("Sentinel API", Pub/Sub messages).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Names = Mapping[str, str]
"""Address as host:port, or id of a Sentinel -> name of the process."""
ALIKE_S = 3.0


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened. `at` is in seconds since 1970."""

    at: float
    source: str
    text: str
    event: str = ""
    """Sentinel's own word for it; empty for ours."""
    payload: str = ""


def _instance(payload: str, names: Names) -> str:
    """Read `<type> <name> <ip> <port> [@ <group> ...]`."""
    words = payload.split()
    if len(words) < 4:
        return payload
    where = f"{words[2]}:{words[3]}"
    return names.get(where, where)


def _about(template: str) -> Callable[[str, Names], str]:
    return lambda payload, names: template.format(_instance(payload, names))


def _switch(payload: str, names: Names) -> str:
    words = payload.split()
    if len(words) != 5:
        return f"another node leads: {payload}"
    old, new = f"{words[1]}:{words[2]}", f"{words[3]}:{words[4]}"
    return f"{names.get(new, new)} leads now, in the place of {names.get(old, old)}"


def _vote(payload: str, names: Names) -> str:
    words = payload.split()
    if not words:
        return "votes"
    return f"votes for {names.get(words[0], f'Sentinel {words[0][:8]}')} in epoch {words[-1]}"


def _newcomer(template: str) -> Callable[[str, Names], str]:
    """Tell of who was not known; after each failover Sentinels count the members anew."""

    def tell(payload: str, names: Names) -> str:
        words = payload.split()
        is_known = len(words) > 3 and f"{words[2]}:{words[3]}" in names
        return "" if is_known else template.format(_instance(payload, names))

    return tell


TABLE: dict[str, Callable[[str, Names], str]] = {
    "+sdown": _about("{0} does not answer"),
    "-sdown": _about("{0} answers again"),
    "+odown": _about("{0} is down, a quorum agrees"),
    "-odown": _about("{0} is no longer down for a quorum"),
    "+new-epoch": lambda payload, names: f"epoch {payload} begins",
    "+try-failover": _about("wants to replace {0} and asks for votes"),
    "+vote-for-leader": _vote,
    "+elected-leader": _about("is elected to replace {0}"),
    "+selected-slave": _about("chooses {0}"),
    "+promoted-slave": _about("{0} has been promoted"),
    "+slave-reconf-sent": _about("{0} is told to follow it"),
    "+slave-reconf-done": _about("{0} follows it"),
    "+failover-end": _about("the failover of {0} is done"),
    "+failover-end-for-timeout": _about("the failover of {0} ends, not all replicas follow yet"),
    "-failover-abort-not-elected": _about("gives up replacing {0}: not elected"),
    "-failover-abort-no-good-slave": _about("cannot replace {0}: no replica is good enough"),
    "-failover-abort-slave-timeout": _about("gives up replacing {0}: the promotion took too long"),
    "+switch-master": _switch,
    "+convert-to-slave": _about("{0} came back and is made a replica"),
    "+slave": _newcomer("a new replica: {0}"),
    "+sentinel": _newcomer("a new Sentinel: {0}"),
    "+reboot": _about("{0} has restarted"),
    "+data-loss-possible": _about("{0}: acknowledged writes may be lost by this promotion"),
    "+tilt": lambda payload, names: "its clock jumps, it waits",
    "-tilt": lambda payload, names: "its clock is steady again",
}


def in_words(event: str, payload: str, names: Names) -> str:
    """Return an event of a Sentinel as a sentence; one that nobody needs to see gives an empty text."""
    tell = TABLE.get(event)
    return tell(payload, names) if tell is not None else ""


class Repeated:
    """Remembers what was said lately, so that three Sentinels make one line."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def is_news(self, happening: Happening) -> bool:
        """Tell whether it was not said within the last seconds; each Sentinel's vote is news."""
        if not happening.text:
            return False
        is_alike = happening.event and happening.event != "+vote-for-leader"
        said = happening.text if is_alike else f"{happening.source} {happening.text}"
        last = self._said.get(said, 0.0)
        self._said[said] = happening.at
        return happening.at - last > ALIKE_S
