"""rdb-del-sync-files: what a killed process left of a synchronisation goes at the next start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.persistence.nodes import running


def number_of_an_ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--rdb-del-sync-files", "yes"], False),
        (["--rdb-del-sync-files", "no"], True),
        (["--rdb-del-sync-files", "yes", "--appendonly", "yes"], True),
        (["--rdb-del-sync-files", "yes", "--save", "3600 1"], True),
    ],
)
async def test_left_overs_go_only_where_nothing_is_to_be_kept(
    tmp_path: Path, options: list[str], kept: bool
) -> None:
    ended = number_of_an_ended_process()
    left = [tmp_path / f"temp-{ended}-1.sync.rdb", tmp_path / f"temp-{ended}-2.load.rdb"]
    others = [tmp_path / f"temp-{os.getppid()}-1.sync.rdb", tmp_path / "mine.rdb"]
    for path in (*left, *others):
        path.write_bytes(b"x")
    async with running(tmp_path, *options):
        assert [path.exists() for path in left] == [kept, kept]
        assert all(path.exists() for path in others)
