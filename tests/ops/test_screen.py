"""The live screen as a terminal shows it: in tmux, while a primary dies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.ops.deployments import REPOSITORY, Running, free_base, until
from tests.peers import require_peer


def test_the_live_screen_shows_members_events_and_the_way_in_and_follows_a_failover(tmp_path: Path) -> None:
    tmux = [require_peer("tmux"), "-L", f"holdfast-{os.getpid()}", "-f", os.devnull]
    port = free_base()
    running = Running(tmp_path, port, 0.0)
    command = (
        f"env -u COLUMNS -u LINES PYTHONPATH={REPOSITORY / 'src'} {sys.executable} -m holdfast.cli.main "
        f"up --port {port} --data {running.data}; sleep 1"
    )

    def screen() -> str:
        shown = subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True, check=False)
        return shown.stdout

    def row(name: str) -> str:
        return next(line for line in screen().splitlines() if line.startswith(name))

    subprocess.run([*tmux, "new-session", "-d", "-x", "140", "-y", "44", command], cwd=tmp_path, check=True)
    try:
        until(lambda: "all is well" in screen(), "the screen is there")
        leader = re.findall(r"(node-\d) leads", screen())[0]
        replica = "node-3" if leader != "node-3" else "node-2"
        assert f"redis-cli -p {port}\n" in screen() and f"redis://127.0.0.1:{port}\n" in screen()
        assert re.search(rf"proxy +127\.0\.0\.1:{port} +stable port +ok", row("proxy"))
        assert re.search(r" 127\.0\.0\.1:\d+ +primary +ok +[\d,]+ +\d+ +[\d.]+ MB +\d+", row(leader))
        assert re.search(rf" replica of {leader} +ok +[\d,]+ +\d+ B +0", row(replica))
        assert len([line for line in screen().splitlines() if line.startswith("sentinel-")]) == 3
        lines = screen().splitlines()
        assert any(line.startswith("python   ") for line in lines)
        assert 'client.set("greeting", "hello")' in screen()
        os.kill(running.pid(leader), signal.SIGKILL)
        until(lambda: f"{leader} leads\n" not in screen() and "all is well" in screen(), "another leads")
        shown = screen()
        assert "was ended by SIGKILL; starts again in 0.1 s" in shown
        assert re.search(rf"node-\d leads now, in the place of {leader}", shown)
        assert re.search(rf"{leader} +127\.0\.0\.1:\d+ +replica of node-\d +ok", shown)
        subprocess.run([*tmux, "send-keys", "C-c"], check=True)
        until(lambda: running.run_file()["children"] == {}, "Ctrl-C has stopped all")
    finally:
        running.ask("down")
        subprocess.run([*tmux, "kill-server"], capture_output=True, check=False)
