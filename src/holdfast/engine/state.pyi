"""The state of an engine and of a session, as Python sees it; `state.pxd` says what each attribute means."""

from collections.abc import Callable
from typing import Any

class Session:
    """One client of an engine: its database, protocol, buffers and modes."""

    engine: Engine
    owner: Any
    flags: int
    guard: int
    resp: int
    id: int
    name: Any
    lib_name: Any
    lib_ver: Any
    user: Any
    address: Any
    local_address: Any
    created_ms: int
    active_ms: int
    bytes_in: int
    bytes_out: int
    output_soft_since_ms: int
    replica: Any

    def __init__(self, engine: Engine, owner: object = None) -> None: ...
    @property
    def database(self) -> int:
        """Number of the selected database."""
    def take_output(self) -> bytes:
        """Return the waiting replies as bytes and forget them (for owners without a transport)."""
    @property
    def output_bytes(self) -> int:
        """Reply bytes that wait to be handed to the connection."""
    @property
    def input_bytes(self) -> int:
        """Request bytes that are not executed yet."""
    @property
    def held_replies(self) -> int:
        """How many replies wait for acknowledgements."""
    @property
    def last_write_offset(self) -> int:
        """Where the stream ended after this session's last write (WAIT)."""
    @property
    def buffer_bytes(self) -> int:
        """Memory that the session's buffers take."""

class Engine:
    """The data of one node and all that its data path needs."""

    guard: int
    specs: list[Any]
    functions: list[Any]
    tick_open: bool
    open_tick: Callable[[], None] | None
    pending: list[Session]
    stream_on: bool
    stream_offset: int
    dirty: int
    notify_flags: int
    watchers: dict[tuple[int, bytes], Any]
    blocked_keys: dict[tuple[int, bytes], list[Session]]
    ready_keys: list[tuple[int, bytes]]
    unblocked: list[Session]
    key_event: Any
    sessions: dict[int, Session]
    next_id: int
    next_token: int
    channels: dict[bytes, Any]
    patterns: dict[bytes, Any]
    shard_channels: dict[bytes, Any]
    monitors: list[Session]
    deadlines: list[tuple[int, int, int]]
    proto_max_bulk_len: int
    query_buffer_limit: int
    slowlog_slower_than_us: int
    latency_threshold_ms: int
    slow_hook: Callable[[Session, list[bytes], int], None] | None
    replica_read_only: bool
    replica_serve_stale: bool
    link_up: bool
    admit_hook: Callable[[Session, str, int, list[bytes]], bytes | None] | None
    endpoint_of: Callable[[Any], bytes] | None
    find_keys: Callable[[str, list[bytes]], list[int]] | None
    latency_tracking: bool
    redact: Any
    maxmemory: int
    maxmemory_policy: int
    maxmemory_samples: int
    good_replicas: int
    min_replicas_to_write: int
    password: bytes | None
    hash_max_listpack_entries: int
    hash_max_listpack_value: int
    set_max_intset_entries: int
    set_max_listpack_entries: int
    set_max_listpack_value: int
    zset_max_listpack_entries: int
    zset_max_listpack_value: int
    list_max_listpack_size: int
    list_compress_depth: int
    lazyfree_lazy_user_del: bool
    lazyfree_lazy_expire: bool
    lazyfree_lazy_eviction: bool
    lazyfree_lazy_server_del: bool
    lazyfree_lazy_user_flush: bool
    stopwatch: Callable[[], int] | None
    active_expire: bool
    active_expire_effort: int
    maxmemory_eviction_tenacity: int
    replica_ignore_maxmemory: bool
    client_bytes: int
    evicting: bool
    expired_stale_perc: float
    stat_expired_time_cap: int
    stat_expire_cycle_us: int
    stat_eviction_exceeded_us: int
    publish_hook: Callable[[bytes, bytes, bool], object] | None
    walk: Any
    stat_commands: int
    net_input_bytes: int
    net_output_bytes: int
    reads: int
    writes: int
    stat_connections: int
    stat_evicted: int
    stat_unexpected_errors: int
    error_counts: dict[bytes, int]
    gated: list[Session]
    gate_reads: int
    gate_released: int
    node: Any
    script_engine: Any
    on_fault: Callable[[BaseException, bytes], None] | None

    def __init__(self, databases: int = 16, seed: int = 1, cluster: bool = False) -> None: ...
    def set_time(self, now_ms: int) -> None:
        """Set the wall clock of this tick, in milliseconds since 1970."""
    @property
    def now_ms(self) -> int:
        """The time of this tick, in milliseconds since 1970."""
    @property
    def used_bytes(self) -> int:
        """Bytes of all data, as the allocator handed them out."""
    @property
    def database_count(self) -> int:
        """How many databases there are."""
    @property
    def stream_end(self) -> int:
        """Where the stream ends, with what this tick has made so far."""
    def key_count(self, database: int) -> int:
        """Return the number of keys in a database."""
    def volatile_count(self, database: int) -> int:
        """Return the number of keys with an expiry in a database."""
