"""The twelve hashes of keys that a pool can name."""

NAMES: tuple[str, ...]
"""As `hash:` spells them."""

def hash_of(name: str, key: bytes) -> int:
    """Return the hash of a key, 32 bits. ValueError for an unknown name."""

def md5_of(text: bytes) -> bytes:
    """Return the MD5 digest of a text."""
