"""A snapshot on its way in: from the link to the data set.

What this is: the replica's side of a full resync after the payload header: it finds the
end (a size or an end mark), and brings the pieces to the loader, at once or by way of
a file, as `repl-diskless-load` and the rules on old copies say.

What this is not: reading the RDB format (`ports.SnapshotSink`), or the link.

How to read it: `plan_of`, then `Incoming`: `take` gets the pieces, `load` brings them home.

| repl-diskless-load | member of a set, or swapdb | else |
| --- | --- | --- |
| disabled | file, old data kept until the new are complete | file, then old data go and the file is loaded |
| on-empty-db, without keys | at once | at once |
| swapdb | at once, beside the old data | at once, beside the old data |
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdfast.replication.handshake import BeginSnapshot
from holdfast.replication.ports import Loading, Node, SnapshotSink

PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Plan:
    """How a snapshot comes in."""

    by_file: bool
    keeps_old: bool


def plan_of(diskless_load: str, must_keep_old: bool, key_count: int) -> Plan:
    """Choose; `must_keep_old`: the present copy counts for a member set until the new one is complete."""
    if diskless_load == "swapdb":
        return Plan(by_file=False, keeps_old=True)
    if diskless_load == "on-empty-db" and not key_count:
        return Plan(by_file=False, keeps_old=False)
    return Plan(by_file=True, keeps_old=must_keep_old)


class Incoming:
    """One snapshot that is being received."""

    def __init__(
        self,
        node: Node,
        sink: SnapshotSink,
        header: BeginSnapshot,
        plan: Plan,
        number: int,
        before_loading: Callable[[Plan], None],
    ) -> None:
        self.header = header
        self.plan = plan
        self.received_bytes = 0
        self.is_complete = False
        self._node = node
        self._sink = sink
        self._before_loading = before_loading
        self._tail = b""
        self._loading: Loading | None = None
        self._path = ""
        if plan.by_file:
            name = f"temp-{node.host.pid}-{number}.load.rdb"
            self._path = posixpath.join(node.configuration["dir"], name)
            self._file = node.host.disk.open(self._path, "wb")
        else:
            before_loading(plan)
            self._loading = sink.begin(plan.keeps_old)

    def take(self, chunk: bytes) -> bytes:
        """Take what came; return what belongs to the stream behind it.

        Raises `ValueError` on what is no RDB file, `OSError` where it cannot be written.
        """
        size, mark = self.header.size_bytes, self.header.end_mark
        rest = b""
        if size is not None:
            room = size - self.received_bytes
            chunk, rest = chunk[:room], chunk[room:]
            self.received_bytes += len(chunk)
            self.is_complete = self.received_bytes == size
        else:
            # Nothing follows the mark before we speak, so it stands at the end or nowhere.
            chunk = self._tail + chunk
            cut = len(chunk) - len(mark)
            self.is_complete = chunk.endswith(mark)
            chunk, self._tail = (chunk[:cut], chunk[cut:]) if cut > 0 else (b"", chunk)
            self.received_bytes += len(chunk)
        if chunk:
            if self._loading is not None:
                self._loading.feed(chunk)
            else:
                self._file.write(chunk)
        return rest

    async def load(self, sign_of_life: Callable[[], None]) -> Mapping[str, str]:
        """Put the new data set in place; return its auxiliary fields. Raises as `take` does."""
        if self._loading is None:
            self._file.close()
            file = self._node.host.disk.open(self._path, "rb")
            try:
                self._before_loading(self.plan)
                self._loading = self._sink.begin(self.plan.keeps_old)
                while piece := file.read(PIECE_BYTES):
                    self._loading.feed(piece)
                    sign_of_life()
                    await asyncio.sleep(0)
            finally:
                file.close()
        loading, self._loading = self._loading, None
        fields = loading.finish()
        self._remove_file()
        return fields

    def abandon(self) -> None:
        """Forget what came."""
        if self._loading is not None:
            self._loading.abandon()
            self._loading = None
        self._remove_file()

    def _remove_file(self) -> None:
        if self._path:
            path, self._path = self._path, ""
            self._file.close()
            if self._node.host.disk.exists(path):
                self._node.host.disk.remove(path)
