"""One holdfast.toml on three hosts: each runs its own part, and the death of a whole host is survived."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.ops.deployments import Running, environment, free_base, holdfast, until

HOSTS = {"a": "127.0.0.1", "b": "127.0.0.2", "c": "127.0.0.3"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have only 127.0.0.1 on their loopback")
def test_three_supervisors_make_one_deployment_and_outlive_one_of_them(tmp_path: Path) -> None:
    port = free_base()
    hosts = "".join(f'{name} = "{address}"\n' for name, address in HOSTS.items())
    places = '[processes.proxy]\nhost = "b"\n'
    (tmp_path / "holdfast.toml").write_text(f"port = {port}\n[hosts]\n{hosts}{places}")

    def words(host: str) -> list[str]:
        return ["up", "--only", host, "--data", str(tmp_path / host)]

    def status(host: str) -> dict[str, Any]:
        return Running(tmp_path, port, 0.0, directory=host).status()

    assert "hosts are a, b, c" in holdfast(*words("d"), cwd=tmp_path).stderr
    starting = [
        subprocess.Popen(
            [sys.executable, "-m", "holdfast.cli.main", *words(host), "--detach"],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for host in HOSTS
    ]
    try:
        for each in starting:
            said = each.communicate(timeout=60)[0]
            assert each.returncode == 0, said
        run = {host: json.loads((tmp_path / host / "run.json").read_text()) for host in HOSTS}
        assert set(run["a"]["children"]) == {"node-1", "sentinel-1"}
        assert set(run["b"]["children"]) == {"node-2", "sentinel-2", "proxy"}
        client = redis.Redis(host="127.0.0.2", port=port, socket_timeout=5, decode_responses=True)
        client.set("a", "1")
        until(lambda: redis.Redis(host="127.0.0.3", port=port + 3).get("a") == b"1", "the replica has it")
        for pid in (run["a"]["supervisor"], *(pid for pid, _ in run["a"]["children"].values())):
            os.kill(pid, signal.SIGKILL)
        until(lambda: client.set("b", "2"), "writes go on at the stable port")
        assert client.get("a") == "1"
        until(lambda: status("b")["health"] == "degraded", "it is said what is missing")
        assert status("b")["leaders"][0] in ("node-2", "node-3")
        again = holdfast(*words("a"), "--detach", cwd=tmp_path)
        assert again.returncode == 0, again.stderr
        until(lambda: status("a")["health"] == "ok", "all is well again")
        assert {each["name"]: each["role"] for each in status("a")["members"]}["node-1"] == "replica"
    finally:
        for host in HOSTS:
            holdfast("down", "--data", str(tmp_path / host))
