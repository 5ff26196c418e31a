"""RDB files for tests: loading and writing whole ones, and a generator of layouts of older Redis.

`Old` builds files of any version by hand: lengths, ziplists (Redis 2.6 to 6.2), zipmaps (until
2.4), text scores (until 3.2). The layouts are described in `engine/rdb_legacy.pyx` and at
https://rdb.fnordig.de/file_format.html.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from holdfast.engine.state import Engine
from holdfast.persistence.rdb_read import RdbReader
from holdfast.persistence.rdb_write import snapshot_head, write_snapshot

NOW_MS = 1_700_000_000_000


def engine(now_ms: int = NOW_MS) -> Engine:
    """Return an engine without commands."""
    made = Engine(16)
    made.set_time(now_ms)
    return made


def load(into: Engine, content: bytes, *, step: int = 1 << 30, check_seal: bool = True) -> RdbReader:
    """Load a file in pieces of `step` bytes."""
    reader = RdbReader(into, check_seal=check_seal, total_bytes=len(content))
    for at in range(0, len(content), step):
        reader.feed(content[at : at + step])
    return reader


def save(source: Engine, path: Path, *, compress: bool = True, commands: bool = False) -> bytes:
    """Write a snapshot to a file; return its content."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        head = b"" if commands else snapshot_head([(b"redis-ver", b"7.2.0")])
        write_snapshot(
            source, file, head, commands=commands, compress=compress, checksum=True, early_sync=True
        )
    finally:
        os.close(file)
    return path.read_bytes()


def length(number: int) -> bytes:
    """Encode a length."""
    if number < 64:
        return bytes([number])
    if number < 16384:
        return bytes([0x40 | number >> 8, number & 0xFF])
    return b"\x80" + struct.pack(">I", number)


def text(word: bytes) -> bytes:
    """Encode a string."""
    return length(len(word)) + word


def ziplist(*entries: bytes | int) -> bytes:
    """Encode a ziplist."""
    body, previous, last = b"", 0, 10
    for entry in entries:
        before = bytes([previous]) if previous < 254 else b"\xfe" + struct.pack("<I", previous)
        encoded = before + _ziplist_entry(entry)
        last = 10 + len(body)
        body += encoded
        previous = len(encoded)
    return struct.pack("<IIH", 11 + len(body), last, len(entries)) + body + b"\xff"


def _ziplist_entry(entry: bytes | int) -> bytes:
    if isinstance(entry, int):
        if 0 <= entry <= 12:
            return bytes([0xF1 + entry])
        for mark, form, bits in ((0xFE, "<b", 8), (0xC0, "<h", 16), (0xD0, "<i", 32), (0xE0, "<q", 64)):
            if -(1 << bits - 1) <= entry < 1 << bits - 1:
                if bits == 32 and -(1 << 23) <= entry < 1 << 23:
                    return b"\xf0" + struct.pack("<i", entry)[:3]
                return bytes([mark]) + struct.pack(form, entry)
    assert isinstance(entry, bytes)
    if len(entry) < 64:
        return bytes([len(entry)]) + entry
    if len(entry) < 16384:
        return bytes([0x40 | len(entry) >> 8, len(entry) & 0xFF]) + entry
    return b"\x80" + struct.pack(">I", len(entry)) + entry


def zipmap(*pairs: tuple[bytes, bytes]) -> bytes:
    """Encode a zipmap, with two unused bytes after each value."""

    def size(number: int) -> bytes:
        return bytes([number]) if number < 254 else b"\xfe" + struct.pack("<I", number)

    body = b"".join(size(len(k)) + k + size(len(v)) + b"\x02" + v + b"??" for k, v in pairs)
    return bytes([len(pairs)]) + body + b"\xff"


def old(version: int, *values: tuple[int, bytes, bytes]) -> bytes:
    """Return a file of (type, key, encoded value); no checksum before version 5, zeros from there on."""
    body = b"".join(bytes([kind]) + text(key) + value for kind, key, value in values)
    return b"REDIS%04d\xfe\x00" % version + body + b"\xff" + (bytes(8) if version >= 5 else b"")
