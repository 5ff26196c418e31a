"""A drill that is told to end: what it started for itself ends with it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.ops.deployments import environment


def test_a_drill_that_is_told_to_end_leaves_nothing_behind() -> None:
    with tempfile.TemporaryDirectory(prefix="hd-") as home:  # short: sockets have their place in it
        drill = subprocess.Popen(
            [sys.executable, "-m", "holdfast.cli.main", "drill", "kill"],
            env={**environment(), "TMPDIR": home},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert drill.stderr is not None
        with drill, drill.stderr:
            assert "at work" in drill.stderr.readline()  # so the deployment runs
            assert running(home)
            drill.terminate()
            assert drill.wait(60) == 143
        assert running(home) == []
        assert os.listdir(home) == []


def running(home: str) -> list[str]:
    """Return the command lines of processes that work in a directory."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes().decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if home in words:
            found.append(words)
    return found
