"""The sections of INFO that the server itself knows.

Fields and their order are those of Redis 7.2. Persistence and replication stand
here as they are on a node without files and replicas; those parts replace them
when they are wired. A field about something that does not exist here (threads for
I/O, defragmentation) tells the truth: zero.

How to read it: `register` at the end is the index.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast.engine import eviction, expiry, sessions, upkeep
from holdfast.engine.latency import percentiles_us
from holdfast.engine.registry import command_names, command_stats
from holdfast.server.info import Fields
from holdfast.server.memory_report import human, measure
from holdfast.server.traffic import COMMANDS, INPUT, OUTPUT, REPLICATION_INPUT, REPLICATION_OUTPUT, TICKS

if TYPE_CHECKING:
    from holdfast.server.cluster import ClusterLink
    from holdfast.server.node import Node

REDIS_VERSION = "7.2.4"
"""The version of Redis that we are compatible with: clients decide by it what they may use."""


class ServerSections:
    """The sections of one node."""

    def __init__(self, node: Node) -> None:
        self.node = node

    @property
    def _is_on_a_machine(self) -> bool:
        """Whether there is one to tell of: a simulated host uses no processor and is the same everywhere."""
        return hasattr(self.node.host, "resident_bytes")

    def server(self) -> Fields:
        node = self.node
        uptime_s = (node.host.clock.boot_us() - node.started_us) // 1_000_000
        system, is_on_a_machine = platform.uname(), self._is_on_a_machine
        configuration = node.configuration
        fields: list[tuple[str, object]] = [
            ("redis_version", REDIS_VERSION),
            ("redis_git_sha1", "00000000"),
            ("redis_git_dirty", 0),
            ("redis_build_id", "0"),
            ("redis_mode", "cluster" if configuration["cluster-enabled"] else "standalone"),
            ("os", f"{system.system} {system.release} {system.machine}" if is_on_a_machine else "simulated"),
            ("arch_bits", sys.maxsize.bit_length() + 1),
            ("monotonic_clock", "POSIX clock_gettime"),
            ("multiplexing_api", type(node.loop).__module__.partition(".")[0]),
            ("atomicvar_api", "none"),
            ("gcc_version", "0.0.0"),
            ("process_id", node.host.pid),
            ("process_supervised", configuration["supervised"]),
            ("run_id", node.run_id),
            ("tcp_port", node.listeners.ports[0][1] if node.listeners.ports else 0),
            ("server_time_usec", node.host.clock.wall_us()),
            ("uptime_in_seconds", uptime_s),
            ("uptime_in_days", uptime_s // 86400),
            ("hz", configuration["hz"]),
            ("configured_hz", configuration["hz"]),
            ("lru_clock", sessions.keyspace_facts(node.engine)["lru_clock"]),
            ("executable", sys.argv[0] if sys.argv and is_on_a_machine else ""),
            ("config_file", configuration.config_file),
            ("io_threads_active", 0),
        ]
        if node.shutdown.deadline_ms:
            fields.append(("shutdown_in_milliseconds", node.shutdown.deadline_ms - node.engine.now_ms))
        fields += [(f"listener{place}", line) for place, line in enumerate(node.listeners.describe())]
        return fields

    def clients(self) -> Fields:
        node = self.node
        open_now = [connection.session for connection in node.clients.connections.values()]
        tables = sessions.used_by_tables(node.engine)
        normal = sum(1 for session in open_now if not session.flags & sessions.REPLICA)
        return [
            ("connected_clients", normal),
            ("cluster_connections", len(self._links())),
            ("maxclients", node.configuration["maxclients"]),
            ("client_recent_max_input_buffer", max((each.input_bytes for each in open_now), default=0)),
            ("client_recent_max_output_buffer", max((each.output_bytes for each in open_now), default=0)),
            ("blocked_clients", sum(1 for session in open_now if session.flags & sessions.BLOCKED)),
            ("tracking_clients", 0),
            ("clients_in_timeout_table", len(node.engine.deadlines)),
            ("total_blocking_keys", tables["blocking_keys"]),
            ("total_blocking_keys_on_nokey", 0),
        ]

    def memory(self) -> Fields:
        node = self.node
        report = measure(node)
        configuration = node.configuration
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if self._is_on_a_machine else 0
        scripts = script_memory(node)
        return [
            ("used_memory", report.used),
            ("used_memory_human", human(report.used)),
            ("used_memory_rss", report.resident),
            ("used_memory_rss_human", human(report.resident)),
            ("used_memory_peak", report.peak),
            ("used_memory_peak_human", human(report.peak)),
            ("used_memory_peak_perc", f"{report.peak_percentage:.2f}%"),
            ("used_memory_overhead", report.overhead),
            ("used_memory_startup", report.startup),
            ("used_memory_dataset", report.dataset),
            ("used_memory_dataset_perc", f"{report.dataset_percentage:.2f}%"),
            ("allocator_allocated", report.used),
            ("allocator_active", report.resident),
            ("allocator_resident", report.resident),
            ("total_system_memory", total),
            ("total_system_memory_human", human(total)),
            ("used_memory_lua", scripts["vm"]),
            ("used_memory_vm_eval", scripts["vm"]),
            ("used_memory_lua_human", human(scripts["vm"])),
            ("used_memory_scripts_eval", scripts["texts"]),
            ("number_of_cached_scripts", scripts["count"]),
            ("number_of_functions", 0),
            ("number_of_libraries", 0),
            ("used_memory_vm_functions", 0),
            ("used_memory_vm_total", scripts["vm"]),
            ("used_memory_vm_total_human", human(scripts["vm"])),
            ("used_memory_functions", 0),
            ("used_memory_scripts", scripts["texts"]),
            ("used_memory_scripts_human", human(scripts["texts"])),
            ("maxmemory", configuration["maxmemory"]),
            ("maxmemory_human", human(configuration["maxmemory"])),
            ("maxmemory_policy", configuration["maxmemory-policy"]),
            ("allocator_frag_ratio", f"{report.fragmentation:.2f}"),
            ("allocator_frag_bytes", max(report.resident - report.used, 0)),
            ("allocator_rss_ratio", "1.00"),
            ("allocator_rss_bytes", 0),
            ("rss_overhead_ratio", "1.00"),
            ("rss_overhead_bytes", 0),
            ("mem_fragmentation_ratio", f"{report.fragmentation:.2f}"),
            ("mem_fragmentation_bytes", report.resident - report.used),
            ("mem_not_counted_for_evict", 0),
            ("mem_replication_backlog", 0),
            ("mem_total_replication_buffers", node.doors.replica_output_bytes()),
            ("mem_clients_slaves", report.clients_replicas),
            ("mem_clients_normal", report.clients_normal),
            ("mem_cluster_links", sum(each.send_buffer_allocated for each in self._links())),
            ("mem_aof_buffer", 0),
            ("mem_allocator", "libc"),
            ("active_defrag_running", 0),
            *upkeep.facts(node.engine).items(),
        ]

    def stats(self) -> Fields:
        node = self.node
        engine, traffic = node.engine, node.traffic
        keyspace = sessions.keyspace_facts(engine)
        expired, evicted = expiry.facts(engine), eviction.facts(engine)
        tables = sessions.used_by_tables(engine)
        commands_us = (
            sum((command_stats(engine, name) or (0, 0, 0, 0))[1] for name in command_names(engine)) // 1000
            if self._is_on_a_machine
            else 0
        )
        return [
            ("total_connections_received", engine.stat_connections),
            ("total_commands_processed", engine.stat_commands),
            ("instantaneous_ops_per_sec", round(traffic.per_second(COMMANDS))),
            ("total_net_input_bytes", engine.net_input_bytes + traffic.replication_input_bytes),
            ("total_net_output_bytes", engine.net_output_bytes + traffic.replication_output_bytes),
            ("total_net_repl_input_bytes", traffic.replication_input_bytes),
            ("total_net_repl_output_bytes", traffic.replication_output_bytes),
            ("instantaneous_input_kbps", f"{traffic.per_second(INPUT) / 1024:.2f}"),
            ("instantaneous_output_kbps", f"{traffic.per_second(OUTPUT) / 1024:.2f}"),
            ("instantaneous_input_repl_kbps", f"{traffic.per_second(REPLICATION_INPUT) / 1024:.2f}"),
            ("instantaneous_output_repl_kbps", f"{traffic.per_second(REPLICATION_OUTPUT) / 1024:.2f}"),
            ("rejected_connections", node.clients.rejected),
            ("sync_full", traffic.full_syncs),
            ("sync_partial_ok", traffic.partial_syncs),
            ("sync_partial_err", traffic.partial_syncs_refused),
            ("expired_keys", expired["expired_keys"]),
            ("expired_stale_perc", f"{expired['expired_stale_perc']:.2f}"),
            ("expired_time_cap_reached_count", expired["expired_time_cap_reached_count"]),
            ("expire_cycle_cpu_milliseconds", expired["expire_cycle_cpu_milliseconds"]),
            ("evicted_keys", evicted["evicted_keys"]),
            ("evicted_clients", node.clients.evicted),
            ("total_eviction_exceeded_time", evicted["total_eviction_exceeded_time"]),
            ("current_eviction_exceeded_time", evicted["current_eviction_exceeded_time"]),
            ("keyspace_hits", keyspace["hits"]),
            ("keyspace_misses", keyspace["misses"]),
            ("pubsub_channels", tables["channels"]),
            ("pubsub_patterns", tables["patterns"]),
            ("pubsubshard_channels", tables["shard_channels"]),
            ("latest_fork_usec", traffic.fork_us),
            ("total_forks", traffic.forks),
            ("migrate_cached_sockets", 0),
            ("slave_expires_tracked_keys", 0),
            ("active_defrag_hits", 0),
            ("active_defrag_misses", 0),
            ("active_defrag_key_hits", 0),
            ("active_defrag_key_misses", 0),
            ("total_active_defrag_time", 0),
            ("current_active_defrag_time", 0),
            ("tracking_total_keys", 0),
            ("tracking_total_items", 0),
            ("tracking_total_prefixes", 0),
            ("unexpected_error_replies", engine.stat_unexpected_errors),
            ("total_error_replies", sum(engine.error_counts.values())),
            ("dump_payload_sanitizations", 0),
            ("total_reads_processed", engine.reads),
            ("total_writes_processed", engine.writes),
            ("io_threaded_reads_processed", 0),
            ("io_threaded_writes_processed", 0),
            ("reply_buffer_shrinks", 0),
            ("reply_buffer_expands", 0),
            ("eventloop_cycles", traffic.tick_count),
            ("eventloop_duration_sum", max(traffic.tick_us, commands_us)),
            ("eventloop_duration_cmd_sum", commands_us),
            ("instantaneous_eventloop_cycles_per_sec", round(traffic.per_second(TICKS))),
            ("instantaneous_eventloop_duration_usec", traffic.tick_us // max(traffic.tick_count, 1)),
            ("acl_access_denied_auth", node.clients.auth_failures),
            ("acl_access_denied_cmd", 0),
            ("acl_access_denied_key", 0),
            ("acl_access_denied_channel", 0),
        ]

    def persistence(self) -> Fields:
        """As it is on a node that saves nothing."""
        engine = self.node.engine
        started_s = (
            self.node.engine.now_ms * 1000 - self.node.host.clock.boot_us() + self.node.started_us
        ) // 10**6
        fields: dict[str, object] = dict.fromkeys(
            (
                "loading",
                "async_loading",
                "current_cow_peak",
                "current_cow_size",
                "current_cow_size_age",
            ),
            0,
        )
        fields["current_fork_perc"] = "0.00"
        fields["current_save_keys_processed"] = fields["current_save_keys_total"] = 0
        fields["rdb_changes_since_last_save"] = engine.dirty
        fields["rdb_bgsave_in_progress"] = 0
        fields["rdb_last_save_time"] = started_s
        fields["rdb_last_bgsave_status"] = "ok"
        fields["rdb_last_bgsave_time_sec"] = fields["rdb_current_bgsave_time_sec"] = -1
        fields |= dict.fromkeys(
            (
                "rdb_saves",
                "rdb_last_cow_size",
                "rdb_last_load_keys_expired",
                "rdb_last_load_keys_loaded",
                "aof_enabled",
                "aof_rewrite_in_progress",
                "aof_rewrite_scheduled",
            ),
            0,
        )
        fields["aof_last_rewrite_time_sec"] = fields["aof_current_rewrite_time_sec"] = -1
        fields["aof_last_bgrewrite_status"] = "ok"
        fields["aof_rewrites"] = fields["aof_rewrites_consecutive_failures"] = 0
        fields["aof_last_write_status"] = "ok"
        fields |= dict.fromkeys(
            ("aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"), 0
        )
        return fields.items()

    def replication(self) -> Fields:
        """As it is on a primary that never had a replica."""
        return [
            ("role", "master"),
            ("connected_slaves", 0),
            ("master_failover_state", "no-failover"),
            ("master_replid", self.node.run_id),
            ("master_replid2", "0" * 40),
            ("master_repl_offset", 0),
            ("second_repl_offset", -1),
            ("repl_backlog_active", 0),
            ("repl_backlog_size", self.node.configuration["repl-backlog-size"]),
            ("repl_backlog_first_byte_offset", 0),
            ("repl_backlog_histlen", 0),
        ]

    def cpu(self) -> Fields:
        fields = []
        who = [("", resource.RUSAGE_SELF), ("_children", resource.RUSAGE_CHILDREN)]
        if hasattr(resource, "RUSAGE_THREAD"):
            who.append(("_main_thread", resource.RUSAGE_THREAD))
        for suffix, whose in who:
            usage = resource.getrusage(whose)
            system_s, user_s = (usage.ru_stime, usage.ru_utime) if self._is_on_a_machine else (0.0, 0.0)
            fields.append((f"used_cpu_sys{suffix}", f"{system_s:.6f}"))
            fields.append((f"used_cpu_user{suffix}", f"{user_s:.6f}"))
        return fields

    def modules(self) -> Fields:
        return []

    def commandstats(self) -> Fields:
        for name in command_names(self.node.engine):
            calls, took_ns, rejected, failed = command_stats(self.node.engine, name) or (0, 0, 0, 0)
            if calls or rejected or failed:
                took_us = took_ns // 1000
                yield (
                    f"cmdstat_{name}",
                    (
                        f"calls={calls},usec={took_us},usec_per_call={took_us / calls if calls else 0:.2f},"
                        f"rejected_calls={rejected},failed_calls={failed}"
                    ),
                )

    def errorstats(self) -> Fields:
        for code, count in sorted(self.node.engine.error_counts.items()):
            yield f"errorstat_{code.decode('utf-8', 'replace')}", f"count={count}"

    def latencystats(self) -> Fields:
        configuration = self.node.configuration
        wanted = configuration["latency-tracking-info-percentiles"]
        if not configuration["latency-tracking"] or not wanted:
            return
        for name in command_names(self.node.engine):
            found = percentiles_us(self.node.engine, name, wanted)
            if found:
                shown = ",".join(f"p{at:g}={us:.3f}" for at, us in zip(wanted, found, strict=True))
                yield f"latency_percentiles_usec_{name}", shown

    def _links(self) -> Sequence[ClusterLink]:
        cluster = self.node.doors.cluster
        return cluster.links() if cluster is not None else ()

    def cluster(self) -> Fields:
        return [("cluster_enabled", int(self.node.configuration["cluster-enabled"]))]

    def keyspace(self) -> Fields:
        engine = self.node.engine
        for number in range(engine.database_count):
            count = engine.key_count(number)
            if count:
                average_ms = sessions.average_ttl_ms(engine, number)
                yield (
                    f"db{number}",
                    f"keys={count},expires={engine.volatile_count(number)},avg_ttl={average_ms}",
                )


def script_memory(node: Node) -> dict[str, int]:
    """Return bytes of the Lua state and of cached scripts, and how many there are."""
    engine = node.engine.script_engine  # made for the first script
    return dict(engine.memory()) if engine is not None else {"vm": 0, "texts": 0, "count": 0}


def register(node: Node) -> None:
    """Let the server's own sections be told; others may replace them."""
    sections = ServerSections(node)
    for name in (
        "server",
        "clients",
        "memory",
        "persistence",
        "stats",
        "replication",
        "cpu",
        "modules",
        "commandstats",
        "errorstats",
        "latencystats",
        "cluster",
        "keyspace",
    ):
        node.info.tell(name, getattr(sections, name))
