"""A forked child that writes a snapshot (see the `.pyx`)."""

from typing import NamedTuple

from holdfast.engine.state import Engine

REPORT_BYTES: int

class ChildReport(NamedTuple):
    """What a child tells: keys and bytes written, memory it copied, errno, and whether that is the end."""

    keys: int
    written: int
    cow_bytes: int
    error: int
    done: bool

def fork_snapshot(
    engine: Engine,
    fd: int,
    report_fd: int,
    head: bytes,
    *,
    commands: bool,
    compress: bool,
    checksum: bool,
    early_sync: bool,
    sync: bool,
    idle: bool = False,
    frequency: bool = False,
) -> int:
    """Fork a child that writes everything to `fd` and reports to `report_fd`; return its pid. OSError."""

def parse_reports(buffer: bytes) -> ChildReport | None:
    """Return the last whole report in what was read from the pipe."""

def reap(pid: int) -> int:
    """Wait for a child that has closed its pipe; return its wait status."""

def end_child(pid: int) -> None:
    """Kill a child."""
