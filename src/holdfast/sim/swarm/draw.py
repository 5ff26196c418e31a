"""The scenario of a seed: topology, settings, and which faults come when.

What this is: luck turned into the text of a scenario. What it is not: anything that runs.

How to read it: `draw` puts the parts together. A run has its own choice of faults and its
own likelihood for each ("swarm testing", Groce et al. 2012): a run without any kills sees
what a run full of them hides. All draws come before the run, so a fault can be taken out
and the rest stays as it was (`shrink`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

NAMES = ("a", "b", "c", "d")
FAULT_SECONDS = 24.0
SENTINEL_FAULT_SECONDS = 50.0
CALM_SECONDS = 3.0
BEGIN_SECONDS = 3.0
CONVERGE_SECONDS = 45


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is done at a time, and undone later (`undo` empty: it ends by itself)."""

    at: float
    do: str
    undo: str = ""
    undo_at: float = 0.0

    def lines(self) -> list[tuple[float, str]]:
        """Return the steps with their times."""
        steps = [(self.at, self.do)]
        return [*steps, (self.undo_at, self.undo)] if self.undo else steps


@dataclass(frozen=True, slots=True)
class Drawn:
    """A drawn run. `managed`: a manager fails over; without one the first node stays the primary."""

    seed: int
    nodes: tuple[str, ...]
    starts: tuple[str, ...]
    managed: bool
    begins: tuple[str, ...]
    faults: tuple[Fault, ...]
    fault_seconds: float
    converge_seconds: int = CONVERGE_SECONDS
    ends: tuple[str, ...] = ()
    """Steps between convergence and judgement."""

    def text(self, faults: tuple[Fault, ...] | None = None) -> str:
        """Return the scenario, with these faults instead of all."""
        chosen = self.faults if faults is None else faults
        timed = sorted((step for each in chosen for step in each.lines()), key=lambda step: step[0])
        lines = [f"seed {self.seed}", *self.starts, *self.begins]
        lines += [f"at {when:.3f} s {step}" for when, step in timed]
        end = BEGIN_SECONDS + self.fault_seconds
        lines += [
            f"at {end:.3f} s mend everything",
            f"wait {CALM_SECONDS:g} s",
            "stop clients",
            f"wait until convergence within {self.converge_seconds} s",
            *self.ends,
            "judge",
        ]
        return "\n".join(lines) + "\n"


def draw(seed: int, *, fault_seconds: float = FAULT_SECONDS) -> Drawn:
    """Return the run of a seed."""
    luck = random.Random(f"swarm/{seed}")
    managed = luck.random() < 0.8
    names = NAMES[: luck.choice((2, 3, 3, 3, 4, 4))]
    settings = drawn_settings(luck, len(names) - 1, managed)
    starts = [f"start a with {settings}"]
    chained = len(names) > 2 and luck.random() < 0.25
    if len(names) == 3 and "min-replicas-to-ack 2" in settings:
        chained = False  # the primary would have one member, and rightly take no writes
    for name in names[1:]:
        upstream = "b" if chained and name == names[-1] else "a"
        starts.append(f"start {name} from {upstream} with {settings}")
    managers = ["m"] if luck.random() < 0.6 else ["m", "l"]
    begins = [f"manager {name}" for name in managers] if managed else []
    begins.append(f"at {BEGIN_SECONDS:g} s clients 4 at 10 a second")
    others = ["c1", "c2", *(managers if managed else [])]
    faults = drawn_faults(luck, names, others, managed, fault_seconds)
    faults += drawn_breaks(random.Random(f"swarm/{seed}/breaks"), names, fault_seconds)
    return Drawn(seed, tuple(names), tuple(starts), managed, tuple(begins), tuple(faults), fault_seconds)


def draw_with_sentinels(seed: int, *, fault_seconds: float = SENTINEL_FAULT_SECONDS) -> Drawn:
    """Return the run of a seed in which Sentinels watch and fail over, and clients ask them."""
    luck = random.Random(f"swarm/sentinel/{seed}")
    names = NAMES[: luck.choice((2, 3, 3, 4))]
    settings = drawn_settings(luck, len(names) - 1, True)
    never_lead = drawn_without_priority(random.Random(f"swarm/sentinel/{seed}/priority"), names)
    starts = ["nodes know each other by address"]
    for name in names:
        upstream, priority = "" if name == "a" else " from a", ", replica-priority 0"
        starts.append(f"start {name}{upstream} with {settings}{priority if name in never_lead else ''}")
    count = luck.choice((3, 3, 5))
    lone = "min-replicas-to-ack 0" in settings
    # A lease that is longer than down-after: every wait for its end is needed.
    lease_luck = random.Random(f"swarm/sentinel/{seed}/lease")
    lease = " and lease 4 s" if lone and lease_luck.random() < 0.5 else ""
    begins = (
        f"sentinels {count} with down-after {luck.choice(('1 s', '1 s', '3 s'))}{lease}",
        f"at {BEGIN_SECONDS:g} s clients 4 at 10 a second",
    )
    everybody = (*names, *(f"s{number}" for number in range(1, count + 1)))
    hosts = names if luck.random() < 0.4 else everybody
    faults = drawn_faults(luck, hosts, ["c1", "c2", *everybody[len(names) :]], True, fault_seconds)
    faults += drawn_breaks(luck, everybody, fault_seconds)
    if lease:
        faults += drawn_cut_offs(lease_luck, names, everybody, fault_seconds)
    if lone:  # a lease alone promises nothing on clocks that are further apart
        faults = [replace(each, do=nearly_true(each.do)) for each in faults]
    return Drawn(seed, names, tuple(starts), True, begins, tuple(faults), fault_seconds, 120)


def nearly_true(step: str) -> str:
    """Return a step with a clock that runs within 10 % of all others."""
    return step.replace(" at 0.9", " at 0.96").replace(" at 1.1", " at 1.04") if "drift" in step else step


def drawn_without_priority(luck: random.Random, names: tuple[str, ...]) -> list[str]:
    """Return who may never lead: in most runs nobody, and never all."""
    return luck.sample(names, luck.randrange(1, len(names))) if luck.random() < 0.2 else []


def drawn_settings(luck: random.Random, replicas: int, managed: bool) -> str:
    """Return the settings that all nodes share."""
    needed = luck.choice([count for count in (0, 1, 1, 1, 2, 2) if count <= replicas]) if managed else 0
    chosen = {
        "min-replicas-to-ack": str(needed),
        "appendonly": luck.choice(("no", "no", "yes")),
        "appendfsync": luck.choice(("always", "everysec", "no")),
        "repl-diskless-sync": luck.choice(("yes", "no")),
        "repl-backlog-size": luck.choice(("16384", "1048576")),
        "repl-timeout": luck.choice(("3", "10")),
        "repl-ping-replica-period": "1",
        "ack-member-timeout": luck.choice(("1000", "5000")),
        "min-replicas-to-ack-timeout": luck.choice(("300", "1000")),
        "ack-reads": luck.choice(("no", "linearizable", "linearizable")) if needed else "no",
        "repl-diskless-load": luck.choice(("disabled", "swapdb", "on-empty-db")),
    }
    if chosen["appendonly"] == "no" and luck.random() < 0.4:
        chosen["save"] = luck.choice(("1 1", "5 10"))
    return ", ".join(f"{name} {value}" for name, value in chosen.items())


def drawn_faults(
    luck: random.Random, names: tuple[str, ...], others: list[str], managed: bool, seconds: float
) -> list[Fault]:
    """Return the faults of a run, sorted by time."""
    kinds = {
        "cut": 6, "cut one way": 4, "isolate": 4, "cut other": 3, "reset": 3, "half-open": 3, "slow link": 3,
        "pause": 5, "kill": 6, "power": 4, "power all": 1, "full disk": 2, "slow disk": 2, "jump": 3,
        "drift": 2, "restart": 4, "client pause": 1,
    }  # fmt: skip
    present = {kind: weight * luck.random() for kind, weight in kinds.items() if luck.random() < 0.5}
    if not present:
        present = {"kill": 1.0}
    pace = luck.choice((1.0, 2.5, 2.5, 6.0))
    faults: list[Fault] = []
    when = BEGIN_SECONDS + luck.random() * 2
    while when < BEGIN_SECONDS + seconds - 1:
        kind = luck.choices(list(present), list(present.values()))[0]
        end = min(
            when + luck.choice((0.05, 0.5, 2.0, 4.0, 8.0)) * (0.5 + luck.random()), BEGIN_SECONDS + seconds
        )
        faults += drawn_fault(kind, luck, names, others, when, end)
        when += luck.expovariate(1 / pace)
    return faults


def drawn_breaks(luck: random.Random, names: tuple[str, ...], seconds: float) -> list[Fault]:
    """Return connections that break at a byte of luck's choice: inside a command, a MULTI, a snapshot."""
    faults = []
    for _ in range(luck.choice((0, 0, 1, 3, 8))):
        one, two = luck.sample(names, 2)
        when = BEGIN_SECONDS + luck.random() * (seconds - 1)
        size = luck.randrange(1, luck.choice((50, 1000, 20000)))
        faults.append(Fault(when, f"break {one} to {two} after {size} bytes"))
    return faults


def drawn_cut_offs(
    luck: random.Random, names: tuple[str, ...], everybody: tuple[str, ...], seconds: float
) -> list[Fault]:
    """Return nodes of data that nobody but their clients reaches, for longer than their death is doubted."""
    faults = []
    for _ in range(luck.choice((1, 2, 3))):
        one, when = luck.choice(names), BEGIN_SECONDS + luck.random() * (seconds - 10)
        rest = ", ".join(each for each in everybody if each != one)
        faults.append(Fault(when, f"partition {one} from {rest}", "heal all", when + 2 + luck.random() * 6))
    return faults


def drawn_fault(
    kind: str, luck: random.Random, names: tuple[str, ...], others: list[str], when: float, end: float
) -> list[Fault]:
    """Return one fault of a kind (a machine room without power is one a node)."""
    one, two = luck.sample(names, 2)
    host = luck.choice(others)
    heal, rest = f"heal {one} with {two}", ", ".join(each for each in names if each != one)
    match kind:
        case "cut":
            return [Fault(when, f"cut {one} from {two}", heal, end)]
        case "cut one way":
            return [Fault(when, f"cut {one} to {two}", heal, end)]
        case "isolate":
            return [Fault(when, f"partition {one} from {rest}", "heal all", end)]
        case "cut other":
            return [Fault(when, f"cut {host} from {one}", f"heal {host} with {one}", end)]
        case "reset":
            return [Fault(when, f"reset {one} and {two}")]
        case "half-open":
            return [Fault(when, f"half-open {one} and {two}")]
        case "slow link":
            slow = luck.choice(("20 ms", "150 ms", "600 ms"))
            return [
                Fault(when, f"link {one} and {two} takes {slow}", f"link {one} and {two} takes 1 ms", end)
            ]
        case "pause" | "client pause":
            who = host if kind == "client pause" else one
            return [Fault(when, f"pause {who}", f"resume {who}", end)]
        case "kill":
            return [Fault(when, f"kill {one}", f"restart {one}", end)]
        case "restart":
            return [Fault(when, f"restart {one}")]
        case "power":
            return [Fault(when, f"power-loss {one}", f"power-on {one}", end)]
        case "power all":
            return [Fault(when, f"power-loss {each}", f"power-on {each}", end) for each in names]
        case "full disk":
            return [
                Fault(
                    when, f"fill-disk {one} but {luck.choice((0, 100, 5000))} bytes", f"free-disk {one}", end
                )
            ]
        case "slow disk":
            return [Fault(when, f"slow-disk {one} by 50 ms", f"slow-disk {one} by 0 ms", end)]
        case "jump":
            return [Fault(when, f"jump {one} by {luck.choice((-3600, -5, 5, 3600))} s")]
    return [Fault(when, f"drift {one} at {luck.choice(('0.9', '1.1'))}", f"drift {one} at 1", end)]
