"""The README as a newcomer follows it: its own commands, in its order, on other ports.

Commands are taken out of README.md, and each must also stand in README.zh-CN.md. What is
replaced is named in `Newcomer.here`: the ports, the directory, and where the tree's own
programs are. `make up` runs by the Makefile's own rule, without building again.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.ops.deployments import REPOSITORY, Running, environment, free_base, until
from tests.peers import require_peer

README = (REPOSITORY / "README.md").read_text()
CHINESE = (REPOSITORY / "README.zh-CN.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(text: str, language: str) -> list[str]:
    """Return the code of a language, in order."""
    return [code for name, code in BLOCK.findall(text) if name == language]


def commands(text: str) -> list[str]:
    """Return the shell commands, in order, without their comments."""
    lines = "".join(blocks(text, "sh")).splitlines()
    return [re.sub(r"\s+# .*", "", line) for line in lines if line.strip()]


class Newcomer:
    """Follows the README in a directory of their own."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_base()
        self.running = Running(home, self.port, 0.0, directory="holdfast-data")
        programs = home / "bin"
        programs.mkdir()
        python = shlex.quote(sys.executable)
        for name, words in (("holdfast", f"{python} -m holdfast.cli.main"), ("python", python)):
            (programs / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            (programs / name).chmod(0o755)

    def here(self, command: str) -> str:
        """Put our ports, directory and programs in the place of the README's."""
        for shown in (6379, 6380):
            command = re.sub(rf"\b{shown}\b", str(self.port + shown - 6379), command)
        return command.replace(".venv/bin/", f"{self.home}/bin/")

    def run(self, command: str) -> str:
        """Run a command; return what it printed."""
        done = subprocess.run(
            ["sh", "-ec", self.here(command)],
            cwd=self.home,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def make_up(self) -> None:
        """Run `make up`, as the Makefile has it, in the background and on our ports."""
        arguments = f"--detach --port {self.port} --data {self.home}/holdfast-data"
        done = subprocess.run(
            ["make", "-C", str(REPOSITORY), "-o", "build", "up", f"BIN={self.home}/bin", f"ARGS={arguments}"],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_both_languages_show_the_same_commands_and_the_same_python() -> None:
    assert commands(README) == commands(CHINESE)
    assert blocks(README, "python") == blocks(CHINESE, "python")


def test_both_languages_have_the_same_sections_tables_and_links() -> None:
    def links(text: str) -> list[str]:
        found = re.findall(r"\]\(([^)#]+(?:#[a-z-]+)?)\)", text)
        return sorted(each for each in found if not each.startswith("README"))

    for mark in ("\n## ", "\n| ", "\n- ", "\n```"):
        assert README.count(mark) == CHINESE.count(mark), mark
    assert links(README) == links(CHINESE)


def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path) -> None:
    require_peer("redis-cli")
    told = commands(README)
    assert told[:2] == ["make up", "make test"]
    connect, kill, read, drill = told[2:]
    newcomer = Newcomer(tmp_path)
    newcomer.make_up()
    try:
        assert newcomer.run(connect) == "OK\n"
        python = newcomer.here(blocks(README, "python")[0])
        assert newcomer.run(f"{newcomer.home}/bin/python -c {shlex.quote(python)}") == "b'hello'\n"
        killed = newcomer.running.pid("node-1")
        newcomer.run(kill)
        until(lambda: is_gone(killed), "a moment later it is dead")
        assert newcomer.run(read) == "hello\n"
        newcomer.running.until_well()
        shown = newcomer.run(f"{newcomer.home}/bin/holdfast status")
        assert re.search(r"node-1 .*replica of node-[23]", shown)
        report = newcomer.run(drill)
        for line in ("seen", "agreed", "leader", "promoted", "first write", "outage that clients saw"):
            assert line in report
        assert ", lost 0\n" in report and "min-replicas-to-ack 0: " in report
        assert "<svg" in (tmp_path / "drill.html").read_text()
    finally:
        newcomer.run(f"{newcomer.home}/bin/holdfast down")
