"""What replication says of itself: INFO replication and ROLE.

What this is: words and numbers from a `Replicator`, nothing else changes. The fields are
those of Redis 7.2, in its order, then ours.

How to read it: `info_fields`, `role`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.replication.attachments import Stage
from holdfast.replication.ports import now_ms
from holdfast.replication.upstream import LinkState

if TYPE_CHECKING:
    from holdfast.replication.replicator import Replicator
GUARD_MISCONF = 1 << 3
"""The disk refuses, and so do writes."""


def info_fields(replicator: Replicator) -> dict[str, object]:
    """Return the fields of INFO's section "replication"."""
    node, stream = replicator.node, replicator.stream
    configuration = node.configuration
    fields: dict[str, object] = {"role": "slave" if replicator.is_replica else "master"}
    if replicator.is_replica:
        fields |= _primary_fields(replicator)
    fields["connected_slaves"] = len(stream.replicas)
    if configuration["min-replicas-to-write"] and configuration["min-replicas-max-lag"]:
        fields["min_slaves_good_slaves"] = node.engine.good_replicas
    now = now_ms(node)
    for number, each in enumerate(stream.replicas):
        lag = (now - each.attachment.last_heard_ms) // 1000 if each.stage is Stage.ONLINE else 0
        fields[f"slave{number}"] = (
            f"ip={each.ip},port={each.listening_port},state={each.stage.word_in_info},"
            f"offset={each.attachment.acknowledged_offset},lag={lag}"
        )
    history, backlog = stream.history, stream.backlog
    fields |= {
        "master_failover_state": replicator.hand_over.phase.value,
        "master_replid": history.replication_id,
        "master_replid2": history.second_id,
        "master_repl_offset": replicator.end_offset,
        "second_repl_offset": history.second_valid_up_to,
        "repl_backlog_active": int(backlog is not None),
        "repl_backlog_size": configuration["repl-backlog-size"],
        "repl_backlog_first_byte_offset": backlog.first_byte if backlog is not None else 0,
        "repl_backlog_histlen": backlog.kept_bytes if backlog is not None else 0,
    }
    left = backlog.seconds_left(configuration["repl-backlog-ttl"], now) if backlog is not None else None
    fields["backlog_seconds_left"] = -1 if left is None else int(left)
    fields["sync_progress"] = _progress(replicator)
    return fields | _own_fields(replicator)


def _primary_fields(replicator: Replicator) -> dict[str, object]:
    node, upstream, now = replicator.node, replicator.upstream, now_ms(replicator.node)
    host, port = replicator.followed
    heard = upstream.applier.heard_at_ms
    offset = replicator.stream.offset
    fields: dict[str, object] = {
        "master_host": host,
        "master_port": port,
        "master_link_status": "up" if upstream.is_up else "down",
        "master_last_io_seconds_ago": (now - heard) // 1000 if upstream.is_up and heard is not None else -1,
        "master_sync_in_progress": int(upstream.state is LinkState.SYNC),
        "slave_read_repl_offset": offset,
        "slave_repl_offset": offset,
    }
    incoming = upstream.incoming
    if upstream.state is LinkState.SYNC:
        total = incoming.header.size_bytes or 0 if incoming is not None else 0
        done = incoming.received_bytes if incoming is not None else 0
        fields |= {
            "master_sync_total_bytes": total,
            "master_sync_read_bytes": done,
            "master_sync_left_bytes": total - done,
            "master_sync_perc": f"{done / total * 100 if total else 0:.2f}",
            "master_sync_last_io_seconds_ago": (now - heard) // 1000 if heard is not None else -1,
        }
    if not upstream.is_up:
        since = upstream.down_since_ms
        fields["master_link_down_since_seconds"] = (now - since) // 1000 if since is not None else -1
    configuration = node.configuration
    return fields | {
        "slave_priority": configuration["replica-priority"],
        "slave_read_only": int(configuration["replica-read-only"]),
        "replica_announced": int(configuration["replica-announced"]),
    }


def _progress(replicator: Replicator) -> str:
    """How far a running full resync is, in percent of its bytes, or what it waits for."""
    incoming = replicator.upstream.incoming
    if incoming is not None:
        size = incoming.header.size_bytes
        return f"{incoming.received_bytes / size:.0%}" if size else f"{incoming.received_bytes} bytes"
    return "waiting" if replicator.upstream.state is LinkState.SYNC else "none"


def _own_fields(replicator: Replicator) -> dict[str, object]:
    standing, gate = replicator.standing, replicator.gate
    state = standing.node.state
    fields: dict[str, object] = {
        "node_id": state.node_id,
        "standing": standing.node.standing.value,
        "fence_epoch": state.fence_epoch,
        "term_epoch": state.term_epoch,
        "intact": int(state.intact),
    }
    if replicator.node.engine.guard & GUARD_MISCONF:
        fields["writes_failing"] = 1
    target = replicator.upstream.target
    if target is not None and target.until is not None:
        fields["fetching"] = 1
    lease = replicator.lease
    if lease.lease.voters.ids:
        voters = lease.lease.voters
        fields |= {
            "lease": lease.word,
            "lease_voters": len(voters.ids),
            "lease_voters_number": f"{voters.epoch}.{voters.step}",
            "lease_unknown_outcomes": lease.unknown_outcomes,
        }
    if replicator.upstream.refusal:
        fields["master_refused"] = replicator.upstream.refusal
    if gate.gate is not None:
        newest = gate.gate.record.newest
        fields |= {
            "ack_members": ",".join(sorted(newest.members)),
            "ack_needed": newest.needed,
            "ack_offset": gate.gate.released_offset,
            "ack_waiting": gate.gate.waiting_count + len(replicator.node.engine.gated),  # this tick's, too
            "ack_promise": "suspended" if gate.is_suspended else "kept",
        }
        if gate.refusal is not None:
            fields["ack_promise"] = "refusing writes: too few members"
    fields["ack_unknown_outcomes"] = gate.unknown_outcomes
    return fields


def role(replicator: Replicator) -> list[object]:
    """Return the reply to ROLE."""
    stream, upstream = replicator.stream, replicator.upstream
    if not replicator.is_replica:
        replicas: list[object] = [
            [
                each.ip.encode(),
                str(each.listening_port).encode(),
                str(each.attachment.acknowledged_offset).encode(),
            ]
            for each in stream.replicas
            if each.stage is Stage.ONLINE
        ]
        return [b"master", replicator.end_offset, replicas]
    host, port = replicator.followed
    offset = stream.offset if upstream.is_up else -1
    return [b"slave", host.encode(), port, upstream.state.value.encode(), offset]
