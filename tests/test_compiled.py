"""The compiled modules, which stand in one shared object: are they all there, and each what it says?"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import holdfast
from holdfast import compiled

SOURCES = Path(holdfast.__file__).parent


def test_every_pyx_is_a_module_in_the_shared_object() -> None:
    found = {
        ".".join(path.relative_to(SOURCES.parent).with_suffix("").parts) for path in SOURCES.rglob("*.pyx")
    }
    assert {*compiled.MODULES, "holdfast.compiled"} == found


def test_modules_of_one_last_name_are_modules_of_their_own() -> None:
    engine, commands = (
        importlib.import_module(f"holdfast.{layer}.hashes") for layer in ("engine", "commands")
    )
    assert engine is not commands
    assert (engine.__name__, commands.__name__) == ("holdfast.engine.hashes", "holdfast.commands.hashes")
    assert commands.__package__ == "holdfast.commands"
    assert commands.__spec__ is not None
    assert commands.__spec__.origin == commands.__file__ == compiled.__file__


def test_a_module_is_begun_once() -> None:
    first = importlib.import_module("holdfast.engine.table")
    assert importlib.reload(first) is first
    assert sys.modules["holdfast.engine.table"] is first


def test_what_is_not_compiled_is_found_as_ever() -> None:
    assert compiled.Finder().find_spec("holdfast.server.host") is None
    assert compiled.Finder().find_spec("holdfast.engine") is None


def test_a_shared_object_left_by_an_earlier_build_hides_nothing(tmp_path: Path) -> None:
    """Each module had a shared object of its own once; somebody's tree may still have them."""
    package = tmp_path / "holdfast"
    (package / "engine").mkdir(parents=True)
    for name in ("__init__.py", "engine/__init__.py", Path(compiled.__file__).name):
        shutil.copy(SOURCES / name, package / name)
    suffix = Path(compiled.__file__).name.removeprefix("compiled")
    (package / "engine" / f"checksum{suffix}").write_bytes(b"not a shared object any more")
    script = "from holdfast.engine import checksum; print(checksum.__file__)"
    asked = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert asked.stdout.strip() == str(package / Path(compiled.__file__).name), asked.stderr
