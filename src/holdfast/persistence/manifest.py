"""The manifest of a multi-part append-only file: which files make up the data, in which order.

Redis 7 keeps the AOF in a directory: at most one base (a snapshot), increments
that continue it, and history (files that a rewrite made obsolete and that are
about to be removed). The manifest names them, one line a file:

    file appendonly.aof.2.base.rdb seq 2 type b
    file appendonly.aof.5.incr.aof seq 5 type i

This module holds the format and what a manifest may say: values and pure
functions. Reading, writing and comparing it with the directory is
`manifest_store`. It is stricter than Redis where Redis guesses: a sequence
number must be a positive number, a type one letter, a name stands only once.

How to read it: `Manifest` and its `with_...` steps (each returns the next
manifest), then `format_manifest` and `parse_manifest`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

LINE_LIMIT = 1024
"""Bytes a line may have, with its end (Redis reads lines into such a buffer)."""

ESCAPES = {ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("b"): 8, ord("a"): 7}
ESCAPED = {10: "\\n", 13: "\\r", 9: "\\t", 8: "\\b", 7: "\\a", 34: '\\"', 92: "\\\\"}


class Kind(Enum):
    """What a file of the manifest is."""

    BASE = "b"
    HISTORY = "h"
    INCREMENT = "i"


class ManifestError(Exception):
    """A manifest that cannot be followed: the file, its line (0: the whole file) and what is wrong."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        where = f"{file}, line {line}" if line else file
        super().__init__(f"{where}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


@dataclass(frozen=True)
class Entry:
    """One line: a file name (never a path), its sequence number (from 1) and its kind."""

    name: str
    sequence: int
    kind: Kind


@dataclass(frozen=True)
class Manifest:
    """The files that make up the data.

    - `increments` are in order of strictly rising sequence numbers;
    - `base_sequence` and `increment_sequence` are the highest ever given out.
    """

    base: Entry | None = None
    history: tuple[Entry, ...] = ()
    increments: tuple[Entry, ...] = ()
    base_sequence: int = 0
    increment_sequence: int = 0

    @property
    def files(self) -> tuple[Entry, ...]:
        """The files to load, in order."""
        return ((self.base,) if self.base else ()) + self.increments

    def with_increment(self, filename: str) -> Manifest:
        """Add the next increment (named after `appendfilename`); it is the one to write to."""
        sequence = self.increment_sequence + 1
        entry = Entry(f"{filename}.{sequence}.incr.aof", sequence, Kind.INCREMENT)
        return replace(self, increments=(*self.increments, entry), increment_sequence=sequence)

    def with_base(self, filename: str, *, rdb: bool) -> Manifest:
        """Put the next base in place; the one before becomes history."""
        sequence = self.base_sequence + 1
        entry = Entry(f"{filename}.{sequence}.base.{'rdb' if rdb else 'aof'}", sequence, Kind.BASE)
        history = self.history
        if self.base:
            history = (replace(self.base, kind=Kind.HISTORY), *history)
        return replace(self, base=entry, history=history, base_sequence=sequence)

    def with_upgraded_base(self, filename: str) -> Manifest:
        """Take a single-file AOF of older servers as the base, under its own name."""
        return replace(self, base=Entry(filename, 1, Kind.BASE), base_sequence=1)

    def with_increments_done(self, *, keep: int) -> Manifest:
        """Move all increments but the last `keep` to history: the new base holds them."""
        count = len(self.increments) - keep
        done = tuple(replace(entry, kind=Kind.HISTORY) for entry in reversed(self.increments[:count]))
        return replace(self, history=(*done, *self.history), increments=self.increments[count:])

    def without_history(self) -> Manifest:
        """Forget the history (its files are removed)."""
        return replace(self, history=())


def format_manifest(manifest: Manifest) -> bytes:
    """Write the lines as Redis orders them: base, history, increments."""
    entries = ((manifest.base,) if manifest.base else ()) + manifest.history + manifest.increments
    lines = (f"file {_quoted(e.name)} seq {e.sequence} type {e.kind.value}\n" for e in entries)
    return "".join(lines).encode("utf-8", "surrogateescape")


def parse_manifest(text: bytes, file: str) -> Manifest:
    """Read the content of manifest `file`; raise ManifestError with the line."""
    if not text:
        raise ManifestError(file, 0, "Found an empty AOF manifest")
    manifest = Manifest()
    names: set[str] = set()
    lines = text.split(b"\n")
    for number, line in enumerate(lines, 1):
        if number == len(lines) and not line:
            break
        if len(line) + 1 > LINE_LIMIT or (number == len(lines) and not line.startswith(b"#")):
            raise ManifestError(
                file, number, "The AOF manifest file contains too long line, or one cut short"
            )
        if line.startswith(b"#"):
            continue
        try:
            entry = _entry(_words(line.strip(b" \t\r")))
            if entry.name in names:
                raise ValueError(f"Found the file {entry.name} twice")
            manifest = _added(manifest, entry)
        except ValueError as error:
            raise ManifestError(file, number, str(error)) from None
        names.add(entry.name)
    if not names:
        raise ManifestError(file, 0, "Found an AOF manifest that names no file")
    return manifest


def _added(manifest: Manifest, entry: Entry) -> Manifest:
    if entry.kind is Kind.HISTORY:
        return replace(manifest, history=(*manifest.history, entry))
    if entry.kind is Kind.BASE:
        if manifest.base:
            raise ValueError("Found duplicate base file information")
        return replace(manifest, base=entry, base_sequence=entry.sequence)
    if entry.sequence <= manifest.increment_sequence:
        raise ValueError("Found a non-monotonic sequence number")
    return replace(manifest, increments=(*manifest.increments, entry), increment_sequence=entry.sequence)


def _entry(words: list[str]) -> Entry:
    # More pairs than these three may come in later versions, and are passed over.
    if len(words) < 6 or len(words) % 2:
        raise ValueError("Invalid AOF manifest file format")
    fields: dict[str, str] = {}
    for key, value in zip(words[::2], words[1::2], strict=True):
        if key.lower() in fields:
            raise ValueError(f"Found {key.lower()} twice in a line")
        fields[key.lower()] = value
    if not {"file", "seq", "type"} <= fields.keys() or not fields["file"]:
        raise ValueError("Invalid AOF manifest file format")
    name, sequence, kind = fields["file"], fields["seq"], fields["type"]
    if "/" in name or "\\" in name or "\0" in name or name in (".", ".."):
        raise ValueError("File can't be a path, just a filename")
    if not (sequence.isascii() and sequence.isdigit() and 0 < int(sequence[:20]) < 2**63):
        raise ValueError(f"Invalid sequence number {sequence}")
    if kind not in ("b", "h", "i"):
        raise ValueError(f"Unknown AOF file type {kind}")
    return Entry(name, int(sequence), Kind(kind))


def _quoted(name: str) -> str:
    """Quote a name that holds more than plain characters, as Redis does."""
    raw = name.encode("utf-8", "surrogateescape")
    if name and all(33 <= c < 127 and c not in b"\"'\\" for c in raw):
        return name
    inside = (ESCAPED.get(c) or (chr(c) if 32 <= c < 127 else f"\\x{c:02x}") for c in raw)
    return f'"{"".join(inside)}"'


def _words(line: bytes) -> list[str]:
    """Split a line into words; quotes and escapes as in redis.conf."""
    words: list[str] = []
    at = 0
    while True:
        while at < len(line) and line[at : at + 1].isspace():
            at += 1
        if at == len(line):
            return words
        word = bytearray()
        while at < len(line) and not line[at : at + 1].isspace():
            if line[at] in b"\"'":
                at = _quotation(line, at, word)
                if at < len(line) and not line[at : at + 1].isspace():
                    raise ValueError("Invalid AOF manifest file format (text after a closing quote)")
                break
            word.append(line[at])
            at += 1
        words.append(word.decode("utf-8", "surrogateescape"))


def _quotation(line: bytes, at: int, word: bytearray) -> int:
    """Append what stands between the quotes that open at `at`; return the offset after them."""
    quote = line[at]
    at += 1
    while at < len(line):
        c = line[at]
        if c == quote:
            return at + 1
        if c == ord("\\") and quote == ord("'") and line[at + 1 : at + 2] == b"'":
            word.append(ord("'"))
            at += 2
        elif c == ord("\\") and quote == ord('"') and at + 1 < len(line):
            digits = line[at + 2 : at + 4]
            if line[at + 1] == ord("x") and len(digits) == 2 and digits.isalnum():
                try:
                    word.append(int(digits, 16))
                except ValueError:
                    word.append(ord("x"))
                    at -= 2
                at += 4
            else:
                word.append(ESCAPES.get(line[at + 1], line[at + 1]))
                at += 2
        else:
            word.append(c)
            at += 1
    raise ValueError("Invalid AOF manifest file format (unbalanced quotes)")
