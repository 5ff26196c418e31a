"""`holdfast check-rdb` as its user sees it."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from holdfast.cli.check_rdb import check_rdb
from tests.persistence.rdb_files import old, text

CONTENT = old(9, (0, b"first", text(b"1")), (0, b"second", text(b"x" * 50)))


def run(path: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(check_rdb, [str(path), *options])
    return result.exit_code, result.output


def test_a_whole_file_is_called_whole(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(CONTENT)
    code, said = run(path)
    assert code == 0 and "whole" in said and "2 keys" in said
    path.write_bytes(CONTENT + b"\0" * 7)
    assert "7 bytes follow its end" in run(path)[1]


def test_damage_is_told_with_offset_and_the_keys_before_it(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(CONTENT[:-30])
    code, said = run(path)
    assert code == 1 and "cut short" in said and "safe before it: 1 keys" in said
    code, said = run(path, "--json")
    report = json.loads(said)
    assert code == 1 and report["keys"] == 1 and report["wrong_at"] > 0 and not report["whole"]


def test_a_file_that_is_not_there_is_a_matter_of_its_own(tmp_path: Path) -> None:
    code, _ = run(tmp_path / "none")
    assert code == 2
