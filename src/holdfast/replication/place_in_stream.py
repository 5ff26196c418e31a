"""Where the copy stands in the stream, as files and snapshots tell it.

What this is: the auxiliary fields of an RDB, the marks of the append-only file, and up to
where the own log is on stable storage. What it is not: the files, or their formats.

How to read it: `snapshot_fields` for an RDB, `in_log` for the log, `fsynced_offset` for acknowledgements.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from holdfast.engine import effects
from holdfast.replication.history import FORMER_FIELD
from holdfast.replication.set_record import RDB_FIELD, SetRecord

if TYPE_CHECKING:
    from holdfast.replication.replicator import Replicator


class PlaceInStream:
    """The place of one node's copy."""

    def __init__(self, replicator: Replicator) -> None:
        self._replicator = replicator
        self.is_void = False
        """The data set is empty for the time being, and not what the files hold."""
        self._fsynced = ("", 0)
        """A history, and up to where it is on stable storage here."""
        self._lineage: tuple[str, SetRecord | None, bytes] = ("", None, b"")

    def snapshot_fields(self) -> Mapping[str, str]:
        """Return the auxiliary fields of a snapshot taken at this instant; cuts the stream here."""
        replicator, stream = self._replicator, self._replicator.stream
        replicator.node.deliver_effects()
        fields = {"repl-stream-db": "0"}
        if replicator.is_replica:
            database = replicator.upstream.applier.database
            fields = stream.history.to_rdb_fields() | {"repl-stream-db": str(database)}
        elif stream.backlog is not None:
            effects.forget_database(replicator.node.engine)
            fields = stream.history.to_rdb_fields() | fields
        if "repl-id" in fields and stream.former:
            fields[FORMER_FIELD] = stream.former
        if replicator.standing.record is not None:
            fields[RDB_FIELD] = replicator.standing.record.encode().decode()
        return fields

    def in_log(self) -> tuple[bytes, int, int] | None:
        """Return history, offset and database where the copy stands, for the log; None: in no stream."""
        replicator = self._replicator
        stream, record = replicator.stream, replicator.standing.record
        if not replicator.is_started or self.is_void or stream.backlog is None:
            return None
        replication_id, of_record, lineage = self._lineage
        if replication_id != stream.replication_id or of_record is not record:
            lineage = b"repl-id " + stream.replication_id.encode()
            if stream.former:
                lineage += f" {FORMER_FIELD} {stream.former}".encode()
            if record is not None:
                lineage += b" %b %b" % (RDB_FIELD.encode(), record.encode())
            self._lineage = (stream.replication_id, record, lineage)
        if replicator.is_replica:
            return lineage, stream.offset, replicator.upstream.applier.database
        return lineage, stream.offset, effects.stream_database(replicator.node.engine)

    def aux_fields(self) -> list[tuple[bytes, bytes]]:
        """Return the same as bytes, for the keeper of files."""
        return [(name.encode(), text.encode()) for name, text in self.snapshot_fields().items()]

    def fsynced_offset(self) -> int | None:
        """Return up to where the own AOF is on stable storage, None without AOF."""
        replicator = self._replicator
        fsynced = replicator.waiting.fsynced_offset
        if fsynced is None:
            return None
        if fsynced >= replicator.node.engine.stream_offset:  # counts own effects, not the primary's bytes
            self._fsynced = (replicator.stream.replication_id, replicator.stream.offset)
        replication_id, offset = self._fsynced
        return offset if replication_id == replicator.stream.replication_id else 0
