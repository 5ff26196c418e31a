"""Words of the protocol for tests, and an engine that records what it is fed."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")


def command(*words: str | bytes) -> bytes:
    """Encode one command."""
    parts = [w.encode() if isinstance(w, str) else w for w in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)


def parse(buffer: bytes) -> list[list[bytes]]:
    """Decode whole commands, plainly."""
    commands, at = [], 0

    def line() -> int:
        nonlocal at
        end = buffer.index(b"\r\n", at)
        number, at = int(buffer[at + 1 : end]), end + 2
        return number

    while at < len(buffer):
        assert buffer[at : at + 1] == b"*"
        words = []
        for _ in range(line()):
            length = line()
            words.append(buffer[at : at + length])
            at += length + 2
        commands.append(words)
    assert at == len(buffer)
    return commands


class Recorder:
    """Takes all it is fed; stops before a command named in `unknown`."""

    def __init__(self, unknown: bytes = b"") -> None:
        self.fed = b""
        self.unknown = unknown
        self.refusal = ""

    def feed(self, buffer: memoryview) -> int:
        content = bytes(buffer)
        stop = (
            content.find(b"*1\r\n$%d\r\n%b\r\n" % (len(self.unknown), self.unknown)) if self.unknown else -1
        )
        if stop >= 0:
            self.refusal = f"unknown command '{self.unknown.decode()}'"
            content = content[:stop]
        self.fed += content
        return len(content)

    @property
    def commands(self) -> list[list[bytes]]:
        return parse(self.fed)


def run(steps: Generator[object, None, T]) -> T:
    """Run a generator to its end and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def write(path: str | os.PathLike[str], content: bytes) -> str:
    """Write a file; return its path."""
    with open(path, "wb") as file:
        file.write(content)
    return os.fspath(path)


def read(path: str | os.PathLike[str]) -> bytes:
    """Return a file's content."""
    with open(path, "rb") as file:
        return file.read()
