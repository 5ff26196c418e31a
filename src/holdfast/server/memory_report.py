"""Where the memory is: the numbers behind INFO memory, MEMORY STATS and MEMORY DOCTOR.

What it is: one frozen record, made when asked. What it is not: the accounting of
data, which the engine keeps exactly. The allocator is the system's, which tells
little: what Redis reads from jemalloc is here what the process and the kernel know
(allocated = data and client buffers, active and resident = resident set).

How to read it: `measure`, then `MemoryReport`; `advice` is MEMORY DOCTOR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.engine import sessions
from holdfast.engine.examine import database_tables

if TYPE_CHECKING:
    from holdfast.server.node import Node

MIB = 1 << 20


@dataclass(frozen=True)
class DatabaseShare:
    """Overhead of one database, in bytes."""

    number: int
    table_bytes: int
    expiry_bytes: int


@dataclass(frozen=True)
class MemoryReport:
    """All in bytes but counts and ratios."""

    used: int
    peak: int
    startup: int
    resident: int
    clients_normal: int
    clients_replicas: int
    largest_client: int
    databases: tuple[DatabaseShare, ...]
    keys: int
    clients: int

    @property
    def overhead(self) -> int:
        """What is not data: tables, buffers of clients, the start."""
        tables = sum(each.table_bytes + each.expiry_bytes for each in self.databases)
        return self.startup + self.clients_normal + self.clients_replicas + tables

    @property
    def dataset(self) -> int:
        """Data without overhead."""
        return max(self.used - self.overhead, 0)

    @property
    def dataset_percentage(self) -> float:
        """Of what came since the start."""
        net = self.used - self.startup
        return self.dataset * 100 / net if net > 0 else 0.0

    @property
    def peak_percentage(self) -> float:
        """Used now, of the most that was ever used."""
        return self.used * 100 / self.peak if self.peak else 100.0

    @property
    def fragmentation(self) -> float:
        """Resident bytes for each used one."""
        return self.resident / self.used if self.used else 0.0

    @property
    def bytes_per_key(self) -> int:
        """Net memory for each key."""
        return (self.used - self.startup) // self.keys if self.keys else 0


def resident_bytes(node: Node) -> int:
    """Return the resident set of the process; 0 on a host that has none (a simulated one)."""
    tell = getattr(node.host, "resident_bytes", None)
    return int(tell()) if tell is not None else 0


def has_allocator(node: Node) -> bool:
    """Tell whether sizes of blocks may be told; not on a simulated host: they differ from run to run."""
    return hasattr(node.host, "resident_bytes")


def allocated_bytes(node: Node) -> int:
    """Return what the data take; 0 on a simulated host."""
    return node.engine.used_bytes if has_allocator(node) else 0


def measure(node: Node) -> MemoryReport:
    """Take the numbers as they are now."""
    engine = node.engine
    client_bytes = {"normal": 0, "replica": 0}
    largest = 0
    for connection in node.clients.connections.values():
        size = node.clients.memory_of(connection)
        kind = "replica" if connection.session.flags & sessions.REPLICA else "normal"
        client_bytes[kind] += size
        largest = max(largest, size)
    used = allocated_bytes(node) + node.startup_bytes + client_bytes["normal"] + client_bytes["replica"]
    databases = []
    keys = 0
    for number in range(engine.database_count):
        count = engine.key_count(number)
        if count:
            keys += count
            tables = database_tables(engine, number) if has_allocator(node) else (0, 0)
            databases.append(DatabaseShare(number, *tables))
    node.peak_bytes = max(node.peak_bytes, used)
    return MemoryReport(
        used=used,
        peak=node.peak_bytes,
        startup=node.startup_bytes,
        resident=resident_bytes(node),
        clients_normal=client_bytes["normal"],
        clients_replicas=client_bytes["replica"] + node.doors.replica_output_bytes(),
        largest_client=largest,
        databases=tuple(databases),
        keys=keys,
        clients=len(node.clients.connections),
    )


def advice(report: MemoryReport) -> str:
    """Return what MEMORY DOCTOR says."""
    if report.used < 5 * MIB:
        return (
            "This node is empty or nearly so: there is too little memory in use to say anything of it. "
            "Ask again when it holds data.\n"
        )
    found = []
    if report.peak > 1.5 * report.used:
        found.append(
            f"Peak: at some time {human(report.peak)} were in use, more than 150% of what is now. The "
            f"system's "
            "allocator seldom gives such memory back, so the process may look larger than its data; "
            "it will be "
            "used again. MEMORY PURGE returns what can be returned."
        )
    if report.fragmentation > 1.4 and report.resident - report.used > 10 * MIB:
        found.append(
            f"Fragmentation: the process holds {report.fragmentation:.2f} bytes for each byte in use. "
            f"After a "
            "peak this is harmless; else many values of changing size were written. MEMORY PURGE may help."
        )
    if report.clients and report.clients_normal // report.clients > 200 * 1024:
        found.append(
            "Client buffers: clients take more than 200 KiB each on average, for instance "
            "subscribers that read "
            "too slowly, or large pipelines. CLIENT LIST shows whose (omem, qbuf)."
        )
    if report.clients_replicas > 10 * MIB:
        found.append(
            "Replica buffers: more than 10 MiB wait for replicas. A replica or its network is too "
            "slow; see the "
            "offsets in INFO replication."
        )
    if not found:
        return "No memory problem was found in this node.\n"
    return "".join(f" * {each}\n\n" for each in found)


def human(count: int) -> str:
    """Return bytes as Redis shows them to people."""
    if count < 1024:
        return f"{count}B"
    size = float(count)
    for unit in "KMGTP":
        size /= 1024
        if size < 1024 or unit == "P":
            return f"{size:.2f}{unit}"
    raise AssertionError
