"""Fixtures of the server's tests: a real redis-server, and configurations on a real disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.server.config import Configuration, load
from holdfast.server.disk import FileSystem
from tests.server.redis_beside import RealRedis

StartRedis = Callable[..., RealRedis]
Load = Callable[..., Configuration]


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[StartRedis]:
    """Start redis-server processes that end with the test."""
    started: list[RealRedis] = []

    def start(*arguments: str, stdin: str = "") -> RealRedis:
        started.append(RealRedis(tmp_path, *arguments, stdin=stdin))
        return started[-1]

    yield start
    for redis in started:
        redis.close()


@pytest.fixture
def load_in(tmp_path: Path) -> Load:
    """Load a configuration as if the process stood in `tmp_path`."""

    def load_here(*arguments: str, stdin: str = "") -> Configuration:
        return load(arguments, FileSystem(), str(tmp_path), lambda: stdin)

    return load_here
