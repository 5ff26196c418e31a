"""Eviction: making room when maxmemory is reached."""

from holdfast.engine.state import Engine

POLICIES: tuple[str, ...]

def set_policy(e: Engine, name: str, log_factor: int = 10, decay_min: int = 1) -> None:
    """Choose the maxmemory-policy by name, with lfu-log-factor and lfu-decay-time."""

def set_maxmemory(e: Engine, limit_bytes: int) -> None:
    """Bound the memory that data and clients take; 0: no bound."""

def evict(e: Engine) -> bool:
    """Make room as before a command; False: the data does not fit and nothing may be evicted."""

def facts(e: Engine) -> dict[str, int]:
    """Return what INFO tells of eviction."""
