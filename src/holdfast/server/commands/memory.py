"""MEMORY: where the memory is (https://redis.io/commands/memory-stats/).

The index of the family is `register`; the numbers are `memory_report`'s.
"""

from __future__ import annotations

from holdfast.commands.dump import payload_of
from holdfast.commands.help import help_command
from holdfast.commands.spec import Spec
from holdfast.engine.examine import bytes_of_key
from holdfast.engine.registry import add_container, add_function
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import OK, Pairs, Verbatim
from holdfast.server.commands.words import Args, integer, syntax_error
from holdfast.server.info_sections import script_memory
from holdfast.server.memory_report import advice, has_allocator, measure
from holdfast.server.node import node_of
from holdfast.server.purge import give_back_memory

SAMPLES_DEFAULT = 5
HELP = (
    "DOCTOR",
    "    Report memory problems.",
    "MALLOC-STATS",
    "    Show statistics of the allocator.",
    "PURGE",
    "    Give unused memory back to the system.",
    "STATS",
    "    Show where the memory is.",
    "USAGE <key> [SAMPLES <count>]",
    "    Tell the bytes of a key and its value, estimated from <count> elements (default: 5, 0: all).",
)


def usage(session: Session, args: Args) -> object:
    """MEMORY USAGE key [SAMPLES count]."""
    samples = SAMPLES_DEFAULT
    place = 3
    while place < len(args):
        if args[place].lower() != b"samples" or place + 1 == len(args):
            raise syntax_error()
        samples = integer(args[place + 1])
        if samples < 0:
            raise syntax_error()
        place += 2
    if not has_allocator(node_of(session)):  # on a simulated host, as much as DUMP would make of it
        payload = payload_of(session, args[2])
        return None if payload is None else len(args[2]) + len(payload[0])
    return bytes_of_key(session.engine, session.database, args[2], samples)


def stats(session: Session, args: Args) -> object:
    """MEMORY STATS."""
    node = node_of(session)
    report = measure(node)
    shares = Pairs(
        (
            f"db.{share.number}",
            Pairs(
                [
                    (b"overhead.hashtable.main", share.table_bytes),
                    (b"overhead.hashtable.expires", share.expiry_bytes),
                    (b"overhead.hashtable.slot-to-keys", 0),
                ]
            ),
        )
        for share in report.databases
    )
    return Pairs(
        [
            (b"peak.allocated", report.peak),
            (b"total.allocated", report.used),
            (b"startup.allocated", report.startup),
            (b"replication.backlog", 0),
            (b"clients.slaves", report.clients_replicas),
            (b"clients.normal", report.clients_normal),
            (b"cluster.links", 0),
            (b"aof.buffer", 0),
            (b"lua.caches", script_memory(node)["texts"]),
            (b"functions.caches", 0),
            *shares,
            (b"overhead.total", report.overhead),
            (b"keys.count", report.keys),
            (b"keys.bytes-per-key", report.bytes_per_key),
            (b"dataset.bytes", report.dataset),
            (b"dataset.percentage", report.dataset_percentage),
            (b"peak.percentage", report.peak_percentage),
            (b"allocator.allocated", report.used),
            (b"allocator.active", report.resident),
            (b"allocator.resident", report.resident),
            (b"allocator-fragmentation.ratio", report.fragmentation),
            (b"allocator-fragmentation.bytes", max(report.resident - report.used, 0)),
            (b"allocator-rss.ratio", 1.0),
            (b"allocator-rss.bytes", 0),
            (b"rss-overhead.ratio", 1.0),
            (b"rss-overhead.bytes", 0),
            (b"fragmentation", report.fragmentation),
            (b"fragmentation.bytes", report.resident - report.used),
        ]
    )


def doctor(session: Session, args: Args) -> object:
    """MEMORY DOCTOR."""
    return Verbatim(advice(measure(node_of(session))))


def malloc_stats(session: Session, args: Args) -> object:
    """MEMORY MALLOC-STATS."""
    return b"Stats not supported for the current allocator"


def purge(session: Session, args: Args) -> object:
    """MEMORY PURGE."""
    give_back_memory()
    return OK


def register(engine: Engine) -> None:
    """The index of the family."""
    add_container(
        engine, Spec("memory", -2, "container", group="server", since="4.0.0", summary="Memory in use.")
    )
    for name, arity, flags, keys, function, summary, complexity in (
        ("doctor", 2, "", (0, 0, 0), doctor, "Report memory problems.", "O(1)"),
        ("help", 2, "loading stale", (0, 0, 0), help_command("MEMORY", HELP), "Show help on MEMORY.", "O(1)"),
        ("malloc-stats", 2, "", (0, 0, 0), malloc_stats, "Show the allocator's statistics.", "O(1)"),
        ("purge", 2, "", (0, 0, 0), purge, "Give unused memory back.", "O(N) with N free blocks"),
        ("stats", 2, "", (0, 0, 0), stats, "Show where the memory is.", "O(N) with N clients"),
        ("usage", -3, "readonly", (2, 2, 1), usage, "Tell the bytes of a key.", "O(N) with N samples"),
    ):
        spec = Spec(
            f"memory|{name}",
            arity,
            flags,
            keys,
            group="server",
            since="4.0.0",
            summary=summary,
            complexity=complexity,
        )
        add_function(engine, spec, function)
