"""The drill that pulls a cable: hosts as network namespaces, the primary's taken off the bridge."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.ops.deployments import holdfast
from tests.peers import require_peer

FORMS = {"Sentinels": (), "cluster": ("--cluster", "3x1")}


@pytest.mark.parametrize("form", FORMS)
def test_a_cut_off_primary_is_replaced_and_follows_when_it_is_back(form: str, tmp_path: Path) -> None:
    require_peer("ip")
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    before = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    page = tmp_path / "partition.html"
    words = ["drill", "partition", "--ack", "1", *FORMS[form], "--json", "--html", str(page)]
    done = holdfast(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["lost"] == 0 and report["outage_is_over"]
    assert report["outage_ms"] < 25_000, "the host comes back when another leads, not after half a minute"
    assert report["settings"]["min-replicas-to-ack"] == "1"
    assert ("a cluster of 3 shards" in report["deployment"]) == (form == "cluster")
    assert list(report["phases"]) == ["seen", "agreed", "leader", "promoted", "first write"]
    told = [(each["source"], each["text"]) for each in report["happenings"]]
    assert ("drill", "it is back") in told
    assert report["phases"]["seen"] > 1500, "silence is noticed after down-after-ms, not before"
    assert "cut off" in report["what"] and "<svg" in page.read_text()
    after = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    left = [each for each in set(after.split()) - set(before.split()) if each.startswith("holdfast-")]
    of_the_dead = [each for each in left if not Path("/proc", each.split("-")[1]).exists()]
    assert not of_the_dead, "its network is removed"


def test_without_namespaces_a_partition_is_refused_and_not_imitated(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("as root it can be had")
    done = holdfast("drill", "partition", cwd=tmp_path)
    assert done.returncode == 1 and "root" in done.stderr
