"""Processes for the tests of the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.processes import StockNode
from tests.peers import require_peer


@pytest.fixture
def stock_node(tmp_path: Path) -> Iterator[StockNode]:
    """Return a redis-server in cluster mode that knows nobody."""
    require_peer("redis-server")
    node = StockNode(tmp_path)
    yield node
    node.kill()
