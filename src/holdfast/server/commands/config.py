"""CONFIG: settings of the running server (https://redis.io/commands/config-set/).

The index of the family is `register`. This is only the wire: names, values and
refusals are `holdfast.server.config`'s.
"""

from __future__ import annotations

from holdfast.commands.help import help_command
from holdfast.commands.spec import Spec
from holdfast.commands.subcommands import Row, add_subcommands
from holdfast.engine import latency, sessions, upkeep
from holdfast.engine.registry import add_container, reset_stats
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import OK, CommandError, Pairs
from holdfast.server.commands.words import Args
from holdfast.server.config import ConfigRewriteError, ConfigSetError, as_bytes, as_text, rewrite_file
from holdfast.server.node import node_of

GUARD_LOADING = 1 << 0
HELP = (
    "GET <pattern>",
    "    Show the settings that match a glob pattern.",
    "SET <directive> <value>",
    "    Set a directive.",
    "RESETSTAT",
    "    Begin the statistics of INFO anew.",
    "REWRITE",
    "    Write the settings into the configuration file.",
)


def get(session: Session, args: Args) -> object:
    """CONFIG GET pattern [pattern ...]."""
    found = node_of(session).configuration.matching([as_text(each) for each in args[2:]])
    return Pairs([(as_bytes(name), as_bytes(value)) for name, value in found])


def set_(session: Session, args: Args) -> object:
    """CONFIG SET directive value [directive value ...]."""
    node = node_of(session)
    address = session.address or ""
    local = bool(session.flags & sessions.UNIX) or address.startswith(("127.", "[::1]"))
    try:
        node.configuration.set_all(
            [as_text(each) for each in args[2:]],
            from_loopback=local,
            loading=bool(session.engine.guard & GUARD_LOADING),
        )
    except ConfigSetError as refusal:
        raise CommandError(str(refusal)) from None
    finally:
        for notice in node.configuration.take_notices():
            node.log.write(notice.level, notice.text)
    return OK


def rewrite(session: Session, args: Args) -> object:
    """CONFIG REWRITE."""
    node = node_of(session)
    try:
        rewrite_file(node.configuration)
    except ConfigRewriteError as refusal:
        node.log.warning(f"CONFIG REWRITE failed: {refusal}")
        raise CommandError(str(refusal)) from None
    node.log.notice("CONFIG REWRITE executed with success.")
    return OK


def reset_statistics(session: Session, args: Args) -> object:
    """CONFIG RESETSTAT."""
    node = node_of(session)
    engine = node.engine
    reset_stats(engine)
    latency.forget(engine)
    sessions.reset_keyspace_counters(engine)
    upkeep.reset_facts(engine)
    engine.error_counts.clear()
    engine.stat_commands = engine.stat_connections = engine.stat_unexpected_errors = 0
    engine.net_input_bytes = engine.net_output_bytes = engine.reads = engine.writes = 0
    node.clients.rejected = node.clients.evicted = node.clients.auth_failures = 0
    node.traffic.forget()
    node.peak_bytes = 0
    for reset in node.doors.reset_statistics:
        reset()
    return OK


def register(engine: Engine) -> None:
    """The index of the family."""
    add_container(engine, Spec("config", -2, "container", group="server", since="2.0.0", summary="Settings."))
    admin = "admin noscript loading stale"
    index: tuple[Row, ...] = (
        ("get", -3, admin, "2.0.0", get, "Show settings.", "O(N) with N patterns"),
        ("help", 2, "loading stale", "5.0.0", help_command("CONFIG", HELP), "Show help on CONFIG.", "O(1)"),
        ("resetstat", 2, admin, "2.0.0", reset_statistics, "Begin the statistics anew.", "O(1)"),
        ("rewrite", 2, admin, "2.8.0", rewrite, "Write settings into the file.", "O(1)"),
        ("set", -4, admin, "2.0.0", set_, "Change settings.", "O(N) with N directives"),
    )
    add_subcommands(engine, "config", index, group="server")
