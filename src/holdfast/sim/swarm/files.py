"""Whether the files on a simulated disk are valid, as a crash has left them.

What this is: the checks of `holdfast check-rdb` and `check-aof`, and the readers of the state file, of
nodes.conf and of a Sentinel's file, over a `SimDisk`. What it is not: a comparison with what was in memory.

How to read it: `wrong_files` names what is broken, `mend_tail` does what an operator does
with an append-only file whose unsynced tail a power loss has torn.
"""

from __future__ import annotations

import posixpath
import random
from collections.abc import Generator
from typing import TypeVar

from holdfast.cluster.model import View
from holdfast.cluster.nodes_file import NodesFileError
from holdfast.cluster.nodes_file import load as load_nodes
from holdfast.cluster.settings import Settings
from holdfast.persistence.check_aof import Report, check, mend
from holdfast.persistence.check_rdb import check_preamble, check_rdb
from holdfast.persistence.manifest_store import read_whole
from holdfast.replication.node_state import StateFileError, decode_node_state
from holdfast.sentinel.config_file import BadLine, read_lines
from holdfast.sentinel.model import Sentinel
from holdfast.server.host import Disk
from holdfast.sim.nodes import DIRECTORY, PORT
from holdfast.sim.sentinels import GROUP, sentinel_lines

SNAPSHOT = f"{DIRECTORY}/dump.rdb"
MANIFEST = f"{DIRECTORY}/appendonlydir/appendonly.aof.manifest"
STATE = f"{DIRECTORY}/holdfast-{PORT}.state"
NODES = f"{DIRECTORY}/nodes.conf"
SENTINEL = f"{DIRECTORY}/sentinel.conf"

T = TypeVar("T")


def wrong_files(disk: Disk, *, may_tear: bool = False) -> list[str]:
    """Return what is wrong, a line a file; a torn tail that can be cut is not wrong.

    `may_tear`: the power failed and the log is not synced at every write, so its last file
    may end in anything, zeros for instance.
    """
    wrong = []
    if disk.exists(SNAPSHOT):
        report = outcome(check_rdb(disk, SNAPSHOT))
        if not report.whole:
            wrong.append(f"{posixpath.basename(SNAPSHOT)}: {report.reason}")
    if disk.exists(MANIFEST):
        log = append_only_report(disk)
        torn = may_tear and log.damaged is not None and log.damaged.last
        if not log.whole and not log.mendable and not torn:
            reasons = [lie.reason for lie in log.lies if lie.fatal]
            reasons += [f"{each.path}: {each.verdict.reason}" for each in log.files if not each.whole]
            wrong.append(f"append-only file: {log.manifest_error or '; '.join(reasons)}")
    if disk.exists(STATE):
        try:
            decode_node_state(read_whole(disk, STATE))
        except StateFileError as error:
            wrong.append(f"{posixpath.basename(STATE)}: {error}")
    if disk.exists(NODES) and (text := read_whole(disk, NODES).decode("utf-8", "surrogateescape")):
        try:
            load_nodes(View("0" * 40, random.Random(0), Settings(), 1), text, 1)
        except NodesFileError as error:
            wrong.append(f"{posixpath.basename(NODES)}: {error}")
    return wrong


def wrong_sentinel_file(disk: Disk) -> list[str]:
    """Return what is wrong with the file of a Sentinel."""
    if not disk.exists(SENTINEL):
        return []
    lines = sentinel_lines(read_whole(disk, SENTINEL).decode("utf-8", "surrogateescape"))
    if not any(line.words[:2] == ("monitor", GROUP) for line in lines):
        return [f"{posixpath.basename(SENTINEL)}: it does not say whom to watch"]
    try:
        read_lines(Sentinel("", random.Random(0), 1), lines, 1, lambda path: False)
    except BadLine as error:
        return [f"{posixpath.basename(SENTINEL)}: {error}"]
    return []


def append_only_report(disk: Disk) -> Report:
    """Return the full check of the append-only file."""
    return outcome(check(disk, MANIFEST, check_rdb=check_preamble))


def mend_tail(disk: Disk) -> int:
    """Cut what is torn off the append-only file; return how many bytes were dropped."""
    if not disk.exists(MANIFEST):
        return 0
    report = append_only_report(disk)
    if report.whole:
        return 0
    if report.mendable:
        return mend(disk, report).dropped_bytes
    damaged = report.damaged
    if damaged is None or not damaged.last:
        return 0
    file = disk.open(damaged.path, "r+b")
    try:
        dropped = file.size() - damaged.verdict.safe
        file.truncate(damaged.verdict.safe)
        file.sync()
    finally:
        file.close()
    return dropped


def outcome(steps: Generator[object, None, T]) -> T:
    """Run a check to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value
