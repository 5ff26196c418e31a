"""What a full synchronisation leaves on the disk when its process is killed.

What it is: `rdb-del-sync-files`. The files of a synchronisation by disk are removed
when it ends, however it ends; only a process that is killed leaves them behind. A
node that is to keep nothing on its disk (no save points, no append-only file) then
deletes them when it starts. What it is not: the RDB of `dbfilename`, to which no
synchronisation here writes.

A file is a left-over when the process whose number it carries is gone. Where the
system does not say who lives (no /proc), nothing is deleted.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.replication.ports import Node

SYNC_FILE = re.compile(r"temp-(\d+)-\d+\.(?:sync|load)\.rdb")


def delete_left_overs(node: Node) -> list[str]:
    """Delete what killed processes left in `dir`, if the configuration asks for it; return the names."""
    configuration, disk = node.configuration, node.host.disk
    keeps = configuration["appendonly"] or configuration["save"]
    if not configuration["rdb-del-sync-files"] or keeps or not disk.exists("/proc/self"):
        return []
    folder, deleted = configuration["dir"], []
    for name in disk.listdir(folder):
        found = SYNC_FILE.fullmatch(name)
        if found and int(found[1]) != node.host.pid and not disk.exists(f"/proc/{found[1]}"):
            disk.remove(posixpath.join(folder, name))
            node.log.notice(f"Deleted {name}, which a synchronisation of an ended process had left behind")
            deleted.append(name)
    return deleted
