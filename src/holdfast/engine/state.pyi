"""The state of an engine and of a session, as Python sees it; meanings in state.pxd."""

from collections.abc import Callable
from typing import Any

class Session:
    """One client of an engine: its database, protocol, buffers and modes."""

    def __init__(self, engine: Engine, owner: Any = None) -> None: ...
    owner: Any
    flags: int
    guard: int
    resp: int
    name: bytes | None
    lib_name: bytes | None
    lib_ver: bytes | None
    user: Any
    address: str | None
    local_address: str | None
    created_ms: int
    active_ms: int
    bytes_in: int
    bytes_out: int
    output_soft_since_ms: int
    replica: Any
    @property
    def engine(self) -> Engine: ...
    @property
    def id(self) -> int: ...
    @property
    def database(self) -> int: ...
    @property
    def output_bytes(self) -> int: ...
    @property
    def input_bytes(self) -> int: ...
    @property
    def buffer_bytes(self) -> int: ...

class Engine:
    """The data of one node and all that its data path needs."""

    def __init__(self, databases: int = 16, seed: int = 1, cluster: bool = False) -> None: ...
    guard: int
    tick_open: bool
    open_tick: Callable[[], None] | None
    pending: list[Session]
    stream_on: bool
    stream_offset: int
    dirty: int
    notify_flags: int
    watchers: Any
    blocked_keys: Any
    key_event: Any
    sessions: dict[int, Session]
    next_id: int
    monitors: list[Session]
    deadlines: list[Any]
    proto_max_bulk_len: int
    query_buffer_limit: int
    slowlog_slower_than_us: int
    latency_threshold_ms: int
    latency_tracking: bool
    slow_hook: Any
    redact: Any
    replica_read_only: bool
    replica_serve_stale: bool
    link_up: bool
    admit_hook: Any
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
    stat_commands: int
    net_input_bytes: int
    net_output_bytes: int
    reads: int
    writes: int
    stat_connections: int
    stat_evicted: int
    stat_unexpected_errors: int
    error_counts: dict[bytes, int]
    node: Any
    script_engine: Any
    on_fault: Any
    def set_time(self, now_ms: int) -> None: ...
    @property
    def now_ms(self) -> int: ...
    @property
    def used_bytes(self) -> int: ...
    @property
    def database_count(self) -> int: ...
    def key_count(self, database: int) -> int: ...
    def volatile_count(self, database: int) -> int: ...
