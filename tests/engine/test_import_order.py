"""Modules that need each other can be imported in any order: a process begins with either."""

from __future__ import annotations

import subprocess
import sys

import pytest

FIRST = ("holdfast.engine.blocking", "holdfast.engine.slots", "holdfast.replication.standing")


@pytest.mark.parametrize("module", FIRST)
def test_a_process_may_begin_with_any_module(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
