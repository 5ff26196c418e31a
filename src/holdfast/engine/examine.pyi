"""Records seen from outside: what DEBUG OBJECT, MEMORY USAGE and their kin tell."""

from typing import Any, Literal

from holdfast.engine.state import Engine

def describe(engine: Engine, database: int, key: bytes) -> dict[str, Any] | None:
    """Return what DEBUG OBJECT tells of a key as a dict, or None."""

def bytes_of_key(engine: Engine, database: int, key: bytes, samples: int) -> int | None:
    """Return the bytes that a key takes, its value estimated from so many elements (0: all); None: no key."""

def listpack_lines(
    engine: Engine, database: int, key: bytes
) -> tuple[int, list[bytes]] | Literal[False] | None:
    """Return (bytes, elements) of a value in compact form; None: no such key, False: another form."""

def quicklist_facts(engine: Engine, database: int, key: bytes) -> tuple[int, int] | Literal[False] | None:
    """Return (nodes, elements) of a long list; None: no such key, False: another form."""

def value_table(engine: Engine, database: int, key: bytes) -> tuple[int, int] | Literal[False] | None:
    """Return (entries, bytes of buckets) of the value's table; None: no such key, False: it has none."""

def database_tables(engine: Engine, database: int) -> tuple[int, int]:
    """Return bytes of (the buckets of a database's tables, its list of keys that expire)."""
