"""Walks an append-only file from its first command to where it stops being whole.

Loader and checker share this walk, so they agree about every byte. It yields
runs of whole commands and transactions (megabytes at once), then ends with a
`Verdict`: the file is whole; or its tail was cut short (the end of a write that
never happened, or zeros that a power loss left), which may be dropped; or it is
damaged, which nobody may drop unseen.

Theory. A file that ends inside a command looks cut short. But a flipped length
in the middle looks the same: an argument of 8,000,003 bytes reaches beyond the
end of the file, and dropping "the tail" would drop all that follows, in silence.
So whatever follows an unfinished command is searched for whole commands; a write
that was cut short has none behind it.

How to read it: `walk` is the loop; `_ending` decides what an ending means.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum

from holdfast.persistence.aof_scan import (
    END,
    END_INSIDE,
    FAULT_ANNOTATION,
    FAULT_ARGUMENT,
    FAULT_COUNT,
    FAULT_EXEC,
    FAULT_MULTI,
    FAULT_NEWLINE,
    FAULT_NUMBER,
    FAULT_START,
    FAULT_TIME,
    LATER,
    MALFORMED,
    Scan,
    scan,
)
from holdfast.server.host import DiskFile

CHUNK_BYTES = 512 * 1024
SEARCH_BYTES = 1024 * 1024

FAULTS = {
    FAULT_START: "Expected a command ('*') or an annotation ('#'), got: {byte}",
    FAULT_ARGUMENT: "Expected prefix '$', got: {byte}",
    FAULT_NUMBER: "Expected a length in decimal digits, got: {byte}",
    FAULT_NEWLINE: "Expected \\r\\n, got: {byte}",
    FAULT_COUNT: "A command without arguments",
    FAULT_MULTI: "Unexpected MULTI inside a transaction",
    FAULT_EXEC: "Unexpected EXEC outside of a transaction",
    FAULT_ANNOTATION: "An annotation longer than 1024 bytes",
    FAULT_TIME: "Invalid timestamp annotation",
}


class State(Enum):
    """What the whole of a file is."""

    WHOLE = "whole"
    CUT_SHORT = "cut short"
    DAMAGED = "damaged"
    LATER = "goes on after the time asked for"


@dataclass(frozen=True)
class Run:
    """Whole commands and transactions that stand together at `offset` in the file."""

    content: memoryview
    offset: int
    commands: int
    annotations: int


@dataclass(frozen=True)
class Verdict:
    """How a walk ended. Everything before `safe` is whole; `at` is where the reason shows."""

    state: State
    safe: int
    size: int
    at: int
    reason: str
    commands: int
    dropped_commands: int = 0
    """Whole commands after `safe` in a transaction that does not end."""


def walk(
    file: DiskFile, start: int = 0, *, latest: int = -1, chunk_bytes: int = CHUNK_BYTES
) -> Generator[Run, None, Verdict]:
    """Yield the runs from offset `start` on; stop before a #TS: later than `latest` (seconds; -1: never).

    Reads forward once, but for the search after an ending that is not clean.
    Memory: one chunk, or the largest command or transaction. Raises OSError.
    """
    size = file.size()
    file.seek(start)
    base, commands = start, 0
    buffer, want = b"", chunk_bytes
    while True:
        more = file.read(min(max(want - len(buffer), 1), max(size - base - len(buffer), 0)))
        ended = base + len(buffer) + len(more) >= size or not more
        buffer = buffer + more if buffer else more
        found = scan(buffer, latest=latest)
        if found.safe:
            commands += found.commands
            yield Run(memoryview(buffer)[: found.safe], base, found.commands, found.annotations)
        beyond = found.stop == END_INSIDE and base + found.wanted > size
        if ended or beyond or found.stop in (MALFORMED, LATER):
            return _ending(file, found, buffer, base, size, commands)
        base += found.safe
        buffer = buffer[found.safe :]
        want = max(found.wanted - found.safe, chunk_bytes, 2 * len(buffer))


def _ending(file: DiskFile, found: Scan, buffer: bytes, base: int, size: int, commands: int) -> Verdict:
    safe, last, at = base + found.safe, base + found.last, base + found.at

    def verdict(state: State, place: int, reason: str) -> Verdict:
        return Verdict(state, safe, size, place, reason, commands, found.held)

    if found.stop == LATER:
        return verdict(State.LATER, last, "Annotation later than the time asked for")
    if found.stop == END:
        if found.multi:
            return verdict(State.CUT_SHORT, safe, "Reached EOF before reading EXEC for MULTI")
        return verdict(State.WHOLE, size, "")
    if found.stop == MALFORMED:
        if only_zeros(file, at, size):
            return verdict(State.CUT_SHORT, at, f"Zeros up to the end of the file ({size - at} bytes)")
        byte = repr(buffer[found.at : found.at + 1])[1:] if found.at < len(buffer) else "nothing"
        return verdict(State.DAMAGED, at, FAULTS[found.fault].format(byte=byte))
    later = find_command(file, last + 1, size)
    if later >= 0:
        reason = f"A length reaches beyond the end of the file, but whole commands follow at offset {later}"
        return verdict(State.DAMAGED, last, reason)
    missing = f", {base + found.wanted - size} bytes or more are missing" if found.wanted else ""
    return verdict(State.CUT_SHORT, last, f"Unexpected end of file inside a command{missing}")


def only_zeros(file: DiskFile, start: int, end: int) -> bool:
    """Tell whether the file holds nothing but zero bytes between two offsets (at least one)."""
    file.seek(start)
    at = start
    while at < end:
        chunk = file.read(min(SEARCH_BYTES, end - at))
        if not chunk or chunk.count(0) != len(chunk):
            return False
        at += len(chunk)
    return start < end


def find_command(file: DiskFile, start: int, end: int) -> int:
    """Return the offset of the first whole command at or after `start`, or -1.

    Commands longer than SEARCH_BYTES are not seen.
    """
    at = start
    while at < end:
        file.seek(at)
        window = file.read(min(2 * SEARCH_BYTES, end - at))
        place = window.find(b"\n*")
        while 0 <= place < SEARCH_BYTES:
            found = scan(window, start=place + 1, most=1)
            if found.commands + found.held == 1 and found.stop != MALFORMED:
                return at + place + 1
            if found.fault in (FAULT_MULTI, FAULT_EXEC):
                return at + place + 1
            place = window.find(b"\n*", place + 1)
        at += SEARCH_BYTES
    return -1
