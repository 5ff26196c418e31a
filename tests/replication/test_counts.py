"""INFO stats counts what replication does, as redis-server does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.replication.processes import PAIRS, Link, Server, await_equal, await_true


@pytest.mark.parametrize("kinds", PAIRS, ids="→".join)
def test_syncs_forks_and_bytes_are_counted(kinds: tuple[str, str], tmp_path: Path) -> None:
    with Server(kinds[0], tmp_path / "p") as primary, Server(kinds[1], tmp_path / "r") as replica:
        primary.client.set("k", "x" * 1000)
        link = Link(primary.port)
        replica.follow(link.port)
        await_true(replica.is_synced, "first sync")
        link.cut()
        primary.client.set("k2", "y" * 1000)
        await_true(lambda: primary.client.info("stats")["sync_partial_ok"] == 1, "continued")
        await_equal(primary, replica)
        sent: dict[str, Any] = primary.client.info("stats")
        counts = sent["sync_full"], sent["sync_partial_ok"], sent["sync_partial_err"]
        assert counts == (1, 1, 1)  # who led before asks to go on from a history of its own
        assert sent["total_forks"] == 1
        assert 0 < sent["latest_fork_usec"] < 5_000_000
        assert sent["total_net_repl_input_bytes"] == 0
        received: dict[str, Any] = replica.client.info("stats")
        assert received["total_net_repl_output_bytes"] == 0
        for counted in (sent["total_net_repl_output_bytes"], received["total_net_repl_input_bytes"]):
            assert 1000 < counted < 5000  # the first value is compressed in the snapshot
        assert sent["total_net_output_bytes"] >= sent["total_net_repl_output_bytes"]
        primary.client.config_resetstat()
        assert primary.client.info("stats")["sync_full"] == 0
        link.close()
