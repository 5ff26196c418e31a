"""LATENCY: spikes, and how long each command takes (https://redis.io/commands/latency-histogram/).

The index of the family is `register`. Events are `slowlog.LatencyEvents`,
histograms the engine's.
"""

from __future__ import annotations

from holdfast.commands.help import help_command
from holdfast.commands.spec import Spec
from holdfast.commands.subcommands import Row, add_subcommands
from holdfast.engine.latency import distribution
from holdfast.engine.registry import add_container, command_names
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import CommandError, Pairs, Verbatim
from holdfast.server.commands.words import Args, text
from holdfast.server.latency_text import doctor_text, graph
from holdfast.server.node import node_of

HELP = (
    "DOCTOR",
    "    Say what the events mean.",
    "GRAPH <event>",
    "    Draw the samples of an event.",
    "HISTORY <event>",
    "    Show the samples of an event.",
    "LATEST",
    "    Show the latest sample of every event.",
    "RESET [<event> ...]",
    "    Forget the samples of the events, or all.",
    "HISTOGRAM [COMMAND ...]",
    "    Show how long the commands took, or all commands.",
)


def history(session: Session, args: Args) -> object:
    """LATENCY HISTORY event."""
    found = node_of(session).latency_events.histories.get(text(args[2]))
    return [list(sample) for sample in found.samples] if found is not None else []


def latest(session: Session, args: Args) -> object:
    """LATENCY LATEST."""
    histories = node_of(session).latency_events.histories
    return [[event, *each.samples[-1], each.worst_ms] for event, each in histories.items()]


def reset(session: Session, args: Args) -> object:
    """LATENCY RESET [event ...]."""
    return node_of(session).latency_events.reset([text(each) for each in args[2:]])


def draw(session: Session, args: Args) -> object:
    """LATENCY GRAPH event."""
    node = node_of(session)
    found = node.latency_events.histories.get(text(args[2]))
    if found is None:
        raise CommandError(f"ERR No samples available for event '{text(args[2])}'")
    return Verbatim(graph(text(args[2]), found, node.engine.now_ms // 1000))


def doctor(session: Session, args: Args) -> object:
    """LATENCY DOCTOR."""
    node = node_of(session)
    return Verbatim(
        doctor_text(node.latency_events.histories, node.configuration, node.engine.now_ms // 1000)
    )


def histogram(session: Session, args: Args) -> object:
    """LATENCY HISTOGRAM [command ...]."""
    engine = session.engine
    every = command_names(engine)
    if len(args) == 2:
        names = every
    else:
        names = []
        for asked in args[2:]:
            name = text(asked).lower()
            names += [each for each in every if each == name or each.startswith(f"{name}|")]
    shown = Pairs()
    for name in names:
        found = distribution(engine, name)
        if found is not None:
            calls, steps = found
            shown.append((name, Pairs([(b"calls", calls), (b"histogram_usec", Pairs(steps))])))
    return shown


def register(engine: Engine) -> None:
    """The index of the family."""
    add_container(
        engine,
        Spec("latency", -2, "container", group="server", since="2.8.13", summary="Latency of the server."),
    )
    admin = "admin noscript loading stale"
    index: tuple[Row, ...] = (
        ("doctor", 2, admin, "2.8.13", doctor, "Say what the events mean.", "O(1)"),
        ("graph", 3, admin, "2.8.13", draw, "Draw an event's samples.", "O(1)"),
        (
            "help",
            2,
            "loading stale",
            "2.8.13",
            help_command("LATENCY", HELP),
            "Show help on LATENCY.",
            "O(1)",
        ),
        ("histogram", -2, admin, "7.0.0", histogram, "Show how long commands took.", "O(N) with N commands"),
        ("history", 3, admin, "2.8.13", history, "Show an event's samples.", "O(1)"),
        ("latest", 2, admin, "2.8.13", latest, "Show the latest samples.", "O(1)"),
        ("reset", -2, admin, "2.8.13", reset, "Forget samples.", "O(1)"),
    )
    add_subcommands(engine, "latency", index, group="server")
