"""Digests of the data: equal data, equal digest, whatever the encoding or order of keys."""

from holdfast.engine.state import Engine

def digest_of_all(engine: Engine) -> str:
    """Return the digest of all databases as 40 hexadecimal digits (DEBUG DIGEST)."""

def digest_of_value(engine: Engine, database: int, key: bytes) -> str:
    """Return the digest of one value as 40 hexadecimal digits; zeros when there is no such key."""
