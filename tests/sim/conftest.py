"""Fixtures of the simulator's tests: a world that must end without uncaught exceptions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from holdfast.sim import World


@pytest.fixture
def world() -> Iterator[World]:
    """Yield a world of seed 1."""
    with World(1) as world:
        yield world
        assert world.errors == []
        assert world.failed_tasks() == []
