"""INFO persistence: what the keeper of files shows of itself.

It decides nothing and keeps nothing. How to read it: `info_fields`, then its parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.engine.state import Engine
    from holdfast.persistence.keeper import Keeper
    from holdfast.persistence.loader import Loading


def info_fields(keeper: Keeper) -> dict[str, str | int]:
    """Return the fields of INFO persistence, in Redis's order."""
    now_us = keeper.host.clock.boot_us()
    running, saves = keeper.running, keeper.saves
    shown: dict[str, str | int] = {
        "loading": int(keeper.loading is not None),
        "async_loading": 0,
        "current_cow_peak": running.cow_bytes if running else 0,
        "current_cow_size": running.cow_bytes if running else 0,
        "current_cow_size_age": 0,
        "current_fork_perc": "0.00",
        "current_save_keys_processed": running.keys if running else 0,
        "current_save_keys_total": total_keys(keeper.engine) if running else 0,
        "rdb_changes_since_last_save": saves.dirty,
        "rdb_bgsave_in_progress": int(saves.running is not None),
        "rdb_last_save_time": saves.last_s,
        "rdb_last_bgsave_status": "ok" if saves.last_ok else "err",
        "rdb_last_bgsave_time_sec": saves.last_seconds,
        "rdb_current_bgsave_time_sec": (now_us - saves.began_us) // 1_000_000 if saves.running else -1,
        "rdb_saves": saves.count,
        "rdb_last_cow_size": saves.last_cow_bytes,
        "rdb_last_load_keys_expired": keeper.last_load[1],
        "rdb_last_load_keys_loaded": keeper.last_load[0],
        **keeper.aof.writer.fields(now_us // 1000),
    }
    if keeper.loading is not None:
        shown |= loading_fields(keeper, keeper.loading)
    return shown


def total_keys(engine: Engine) -> int:
    """Return how many keys all databases have."""
    return sum(engine.key_count(number) for number in range(engine.database_count))


def loading_fields(keeper: Keeper, loading: Loading) -> dict[str, str | int]:
    """Return how far a load has come."""
    elapsed_s = max(keeper.host.clock.wall_us() // 1_000_000 - loading.started_s, 1)
    left = max(loading.total_bytes - loading.done_bytes, 0)
    speed = max(loading.done_bytes // elapsed_s, 1)
    return {
        "loading_start_time": loading.started_s,
        "loading_total_bytes": loading.total_bytes,
        "loading_rdb_used_mem": int(keeper.kept.fields.get(b"used-mem", b"0") or 0),
        "loading_loaded_bytes": loading.done_bytes,
        "loading_loaded_perc": f"{loading.done_bytes / (loading.total_bytes or 1) * 100:.2f}",
        "loading_eta_seconds": left // speed,
    }
