"""Upkeep: what the engine does for itself between requests, in bounded slices."""

from holdfast.engine.state import Engine

def free_some(e: Engine, allocations: int) -> bool:
    """Free up to about `allocations` blocks of values that were deleted lazily; tell whether more waits."""

def step_tables(e: Engine, buckets: int, turn: int = 0) -> bool:
    """Move up to `buckets` buckets of each keyspace table that is resizing; tell whether one still is."""

def measure_clients(e: Engine) -> int:
    """Measure the buffers that maxmemory counts: those of all clients but replicas. Return their bytes."""

def facts(e: Engine) -> dict[str, int]:
    """Return what INFO tells of lazy freeing."""

def reset_facts(e: Engine) -> None:
    """Begin the counters of expiry, eviction and lazy freeing anew (CONFIG RESETSTAT)."""
