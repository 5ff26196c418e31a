"""The benchmark's own plumbing, with redis-server on both sides: does it measure at all?

How fast anything is, is not asserted: only that each group that is short enough
yields figures of both servers, and that a refusal of the server is told.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.__main__ import main
from bench.client import Connection, Refused, encode
from bench.load import Load, LoadFailed, run
from bench.machine import share_out_cores
from bench.server import Program, ServerDidNotStart

pytestmark = pytest.mark.skipif(
    not (shutil.which("redis-server") and shutil.which("redis-benchmark")), reason="no redis-server here"
)
CORES = share_out_cores()
REDIS = Program.parse("redis", "redis-server", CORES.server)


def test_a_quick_run_measures_both_servers_and_writes_pages(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    options = ["--quick", "--rounds", "2", "--candidate", "redis-server", "--json", str(result)]
    options += ["--pages", str(tmp_path / "pages"), "--only", "INCR, pipeline 16", "--only", "start"]
    done = CliRunner().invoke(main, options)
    assert done.exit_code == 0, done.output
    figures = json.loads(result.read_text())["figures"]
    assert {figure["group"] for figure in figures} == {"requests", "start"}
    assert all(figure["ratio"] > 0 for figure in figures if "user mode" not in figure["what"])
    written = {path.name for path in (tmp_path / "pages").iterdir()}
    assert written == {"requests.md", "requests.png", "start.md", "start.png"}


def test_cpu_of_a_server_grows_with_what_it_serves() -> None:
    with REDIS.running() as server:
        before_s = server.cpu_s()
        per_second = run(Load(["SET", "key:__rand_int__", "x"], 24_000, 16, 1000), server.port, CORES.load)
        assert per_second > 0
        assert server.cpu_s() > before_s
        assert server.resident_bytes() > 1 << 20


def test_a_command_that_the_server_refuses_is_told() -> None:
    with REDIS.running() as server, Connection(server.port) as connection:
        with pytest.raises(LoadFailed, match="unknown command"):
            run(Load(["NOSUCH"], 1200, 1, 1000), server.port, CORES.load)
        with pytest.raises(Refused, match="unknown command"):
            connection.fill([encode(b"SET", b"a", b"1"), encode(b"NOSUCH"), encode(b"SET", b"b", b"1")])


def test_a_program_that_ends_at_once_is_told_with_its_last_words() -> None:
    broken = Program.parse("broken", "redis-server --no-such-option 1", CORES.server)
    with pytest.raises(ServerDidNotStart, match="Bad directive"):
        with broken.running():
            pass
