"""`holdfast up` with data nodes of another make, redis-server or valkey-server: killed, replaced, back."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.ops.deployments import deployment, until
from tests.peers import require_peer

KILLED_IS_REPLACED_WITHIN_S = 60
FORMS = [("redis", ()), ("valkey", ()), ("valkey", ("--cluster", "3x1"))]


@pytest.mark.parametrize(("engine", "form"), FORMS, ids=["redis", "valkey", "valkey cluster"])
def test_a_killed_primary_of_another_make_comes_back_as_a_replica(
    engine: str, form: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{engine}-server").symlink_to(require_peer(f"{engine}-server"))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with deployment("--engine", engine, *form) as running:
        told = json.loads(running.ask("status", "--json").stdout)
        versions = {each["version"].split()[0] for each in told["members"] if each["kind"] == "data"}
        assert versions == {engine}
        client = running.client()
        client.mset({f"{{k{number}}}": number for number in range(100)})
        until(lambda: {each["lag"] for each in running.status()["members"]} <= {0, None}, "replicas have all")
        leader = running.leader()
        running.kill(leader)
        until(
            lambda: leader not in running.status()["leaders"] and running.status()["health"] == "ok",
            "another leads and all is well",
            KILLED_IS_REPLACED_WITHIN_S,
        )
        assert [running.client().get(f"{{k{number}}}") for number in range(100)] == [
            str(number) for number in range(100)
        ]
        roles = {each["name"]: each["role"] for each in running.status()["members"]}
        assert roles[leader] == "replica"
