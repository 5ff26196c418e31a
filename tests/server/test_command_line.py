"""`holdfast-server` as a process: what it prints, what it refuses, how it leaves the terminal."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.cli.server import main
from holdfast.server.process import (
    notify_systemd,
    process_title,
    remove_pid_file,
    supervision,
    write_pid_file,
)
from tests.server.conftest import Load

STAND_IN = """
import os, sys, types
node = types.ModuleType("holdfast.node.process")
def run(configuration):
    notices = [notice.text for notice in configuration.take_notices()]
    report = [configuration.port, configuration.config_file, os.getpid(), os.getsid(0), os.getcwd(), notices]
    with open("report", "w") as file:
        file.write(repr((report, os.path.exists("x.pid") and open("x.pid").read())))
    return 7
node.run = run
sys.modules["holdfast.node.process"] = node
heavy = {"asyncio", "click", "rich", "uvloop", "dataclasses"} & sys.modules.keys()
from holdfast.cli.server import main
code = main(sys.argv[1:])
heavy |= {"asyncio", "click", "rich", "uvloop", "dataclasses"} & sys.modules.keys()
assert not heavy, heavy
sys.exit(code)
"""


def run_server(tmp_path: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", STAND_IN, *arguments],
        cwd=tmp_path,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_the_package_can_be_run_where_its_script_is_not_on_the_path() -> None:
    command = [sys.executable, "-m", "holdfast", "--version"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "version" in ran.stdout


def test_version_and_help_answer_without_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == main(["-v"]) == 0
    assert capsys.readouterr().out.startswith("Holdfast server v=")
    assert main(["--help"]) == main(["-h"]) == 1
    assert "holdfast-server [/path/to/redis.conf] [options] [-]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--test-memory", "5"], "does not test anything"),
        (["--check-system"], "does not check anything"),
        (["--nosuch", "1"], "Bad directive or wrong number of arguments"),
    ],
)
def test_what_is_not_there_is_refused_with_a_reason(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    assert says in capsys.readouterr().err


def test_the_node_gets_file_input_and_options_and_nothing_heavy_is_imported(tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_text("port 1\npidfile x.pid\nio-threads 4\n")
    done = run_server(tmp_path, "x.conf", "--port", "3", "-", stdin="port 2\n")
    assert (done.returncode, done.stderr) == (7, "")
    report, pid_file = eval((tmp_path / "report").read_text())
    assert report[:2] == [3, str(tmp_path / "x.conf")]
    assert report[4] == str(tmp_path)
    assert [text for text in report[5] if text.startswith("io-threads 4 is accepted")]
    assert pid_file == f"{report[2]}\n"
    assert not (tmp_path / "x.pid").exists()


def test_without_arguments_the_log_says_that_defaults_are_used(tmp_path: Path) -> None:
    assert run_server(tmp_path).returncode == 7
    report, _ = eval((tmp_path / "report").read_text())
    assert report[5][0].startswith("Warning: no config file specified, using the default config.")


def test_a_daemon_leaves_its_parent_and_its_session(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "report")
    done = subprocess.Popen(
        [sys.executable, "-c", STAND_IN, "--daemonize", "yes", "--pidfile", "x.pid"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    report, pid_file = eval((tmp_path / "report").read_text())
    assert done.wait(30) == 0
    assert report[2] != done.pid and report[3] != os.getsid(0)
    assert pid_file == f"{report[2]}\n"


def test_pid_file_of_another_process_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    assert write_pid_file(str(path)) == ""
    path.write_text("1\n")
    remove_pid_file(str(path))
    assert path.exists()
    assert "No such file or directory" in write_pid_file(str(tmp_path / "missing/pid"))


def test_systemd_is_told_where_it_listens(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []

    def tell(level: str, text: str) -> None:
        told.append((level, text))

    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        assert supervision("auto", {"NOTIFY_SOCKET": address}, tell) == "systemd"
        assert listener.recv(100).startswith(b"STATUS=")
        assert notify_systemd({"NOTIFY_SOCKET": address}, "READY=1\n")
        assert listener.recv(100) == b"READY=1\n"
    assert supervision("systemd", {}, tell) == supervision("auto", {}, tell) == "no"
    assert supervision("upstart", {}, tell) == "no"
    assert [level for level, _ in told] == ["warning", "warning"]


def test_title_template_is_filled_in(load_in: Load) -> None:
    configuration = load_in("--port", "7", "--bind", "10.0.0.1", "--cluster-enabled", "yes")
    assert process_title(configuration, "holdfast-server") == "holdfast-server 10.0.0.1:7 [cluster]"
