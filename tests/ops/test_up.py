"""`holdfast up` and its company, as processes: ready, killed, emptied, handed over, stopped, found again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.ops.deployments import Running, deployment, environment, free_base, holdfast, until, up


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """One deployment for the tests of this file; each leaves it healthy."""
    with deployment() as made:
        yield made


def test_it_is_ready_within_three_seconds_and_tells_how_to_connect(running: Running) -> None:
    # Three seconds is the promise; tests that run beside others on few cores get a little more.
    assert running.ready_s < (3.0 if os.environ.get("HOLDFAST_TIMED") else 20.0)
    asked = running.ask("status", "--json")
    told = json.loads(asked.stdout)
    assert asked.returncode == 0 and told["health"] == "ok" and told["leaders"] == ["node-1"]
    roles = {each["name"]: each["role"] for each in told["members"]}
    assert [roles[f"node-{number}"] for number in (1, 2, 3)] == ["primary", "replica", "replica"]
    assert running.client().set("greeting", "hello")


def test_a_killed_primary_comes_back_as_a_replica_with_nothing_lost(running: Running) -> None:
    running.until_well()
    client = running.client()
    client.mset({f"k{number}": number for number in range(500)})
    until(lambda: {each["lag"] for each in running.status()["members"]} == {0, None}, "the replicas have all")
    leader = running.leader()
    running.kill(leader)
    until(lambda: running.leader() != leader, "another leads")
    running.until_well()
    assert "has ended, as is reported" in running.ask("logs", "sentinel-1").stdout
    assert running.client().get("k499") == "499"
    told = {each["name"]: each for each in running.status()["members"]}
    assert told[leader]["role"] == "replica" and told[leader]["follows"] == running.leader()


def test_a_primary_whose_disk_was_emptied_never_leads_empty(running: Running) -> None:
    running.until_well()
    running.client().set("precious", "1")
    done = running.ask("drill", "restart-empty", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert report["lost"] == 0 and report["stale_reads"] == 0
    running.until_well()
    assert running.client().get("precious") == "1"


def test_a_switchover_goes_where_it_is_told_by_name_or_from_any_sentinel(running: Running) -> None:
    running.until_well()
    target = next(name for name in ("node-1", "node-2", "node-3") if name != running.leader())
    done = running.ask("switchover", "--to", target, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["new"] == target == running.leader()
    again = running.ask("switchover", "--to", target)
    assert again.returncode == 1 and "leads already" in again.stderr
    by_address = holdfast("switchover", f"127.0.0.1:{running.port + 20_001}")
    assert by_address.returncode == 0, by_address.stderr
    assert running.leader() != target


def test_while_failover_is_paused_a_stopped_primary_keeps_its_place(running: Running) -> None:
    running.until_well()
    leader = running.leader()
    assert running.ask("pause").returncode == 0
    assert running.status()["automatic_failover"] is False
    os.kill(running.pid(leader), signal.SIGSTOP)
    try:
        until(lambda: running.status()["health"] == "down", "clients cannot write")
        assert running.ask("status").returncode == 4
        sentinel = running.port + 20_000
        until(lambda: _flag(sentinel, "s_down"), "a Sentinel sees it")
        assert not _flag(sentinel, "o_down")
    finally:
        os.kill(running.pid(leader), signal.SIGCONT)
    running.until_well()
    assert running.leader() == leader
    handed_over = running.ask("switchover")
    assert handed_over.returncode == 0, handed_over.stderr
    assert running.status()["automatic_failover"] is False, "the pause is left as it was"
    assert running.ask("resume").returncode == 0
    assert running.leader() != leader and running.status()["automatic_failover"] is True


def _flag(sentinel: int, flag: str) -> bool:
    with redis.Redis(port=sentinel, decode_responses=True) as client:
        flags = client.execute_command("SENTINEL", "MASTERS")[0]["flags"]
        return flag in flags


def test_the_shell_completes_commands_faults_and_options() -> None:
    def completed(line: str) -> set[str]:
        words = line.split(" ")
        done = subprocess.run(
            [sys.executable, "-c", "from holdfast.cli.main import main; main(prog_name='holdfast')"],
            env={
                **environment(),
                "_HOLDFAST_COMPLETE": "bash_complete",
                "COMP_WORDS": line,
                "COMP_CWORD": str(len(words) - 1),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return {each.partition(",")[2] for each in done.stdout.split()}

    assert {"status", "switchover"} <= completed("holdfast s")
    assert completed("holdfast drill kill") == {"kill", "kill-sentinel"}
    assert "--sentinels" in completed("holdfast up --s")


def test_logs_are_told_by_name_and_wrong_names_by_exit_status(running: Running) -> None:
    assert "leads mymaster" in running.ask("logs", "proxy").stdout
    told = [json.loads(each) for each in running.ask("logs", "proxy", "--json").stdout.splitlines()]
    assert any("leads mymaster" in each["line"] for each in told)
    wrong = running.ask("logs", "node-9")
    assert wrong.returncode == 4 and "node-1" in wrong.stderr


def test_what_may_lose_data_is_not_done_to_somebody_elses_deployment(running: Running) -> None:
    running.until_well()
    sentinel = f"127.0.0.1:{running.port + 20_000}"
    refused = holdfast("drill", "kill", sentinel)
    assert refused.returncode == 5 and "--yes-really" in refused.stderr
    done = holdfast("drill", "switchover", sentinel, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["lost"] == 0


@pytest.mark.parametrize("fault", ["switchover", "kill"])
def test_at_the_stable_port_a_failover_is_a_pause(running: Running, fault: str) -> None:
    running.until_well()
    done = running.ask("drill", fault, "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert report["lost"] == report["stale_reads"] == report["refused"] == 0
    # Rule 24: only what was open at the primary that died has an unknown outcome, one request a client.
    open_at_most = {"switchover": 0, "kill": int(report["settings"]["writers"])}[fault]
    assert report["unknown"] <= open_at_most, report["errors"]


def test_a_second_supervisor_of_the_same_data_is_refused(running: Running) -> None:
    done = holdfast("up", "--port", str(running.port), "--data", str(running.data))
    assert done.returncode == 1 and "is run by process" in done.stderr
    moved = holdfast("up", "--port", str(running.port + 1), "--data", str(running.data))
    assert moved.returncode == 2 and "belongs to a deployment" in moved.stderr


def test_processes_of_a_supervisor_that_died_are_found_again_and_all_is_kept(running: Running) -> None:
    running.until_well()
    running.client().set("kept", "1")
    before = {name: running.pid(name) for name in ("node-1", "node-2", "sentinel-3")}
    os.kill(running.run_file()["supervisor"], signal.SIGKILL)
    up(running.home, running.port, *running.words)
    assert {name: running.pid(name) for name in before} == before
    assert running.client().get("kept") == "1"


def test_down_and_up_again_keep_every_key_and_whoever_led(running: Running) -> None:
    running.until_well()
    client = running.client()
    client.mset({f"after{number}": number for number in range(200)})
    leader = running.leader()
    assert running.ask("down").returncode == 0
    assert running.ask("status").returncode == 4 and running.ask("down").returncode == 4
    up(running.home, running.port, *running.words)
    if os.environ.get("HOLDFAST_TIMED"):  # on a busy machine one may start so slowly that another leads
        assert running.leader() == leader
    assert running.client().get("after199") == "199"


def test_ctrl_c_stops_all_in_order_and_plain_lines_say_so(tmp_path: Path) -> None:
    port = free_base()
    words = ["up", "--port", str(port), "--data", str(tmp_path / "data"), "--sentinels", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "holdfast.cli.main", *words],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ready after"):
            process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0, "".join(lines)
    stopped = [line.split()[1].rstrip(":") for line in lines if line.rstrip().endswith(": stopped")]
    kinds = [name.partition("-")[0] for name in stopped]
    assert kinds == sorted(kinds, key=["proxy", "sentinel", "node"].index)
    assert stopped[kinds.index("node")] == "node-1"  # the primary, before its replicas
    assert json.loads((tmp_path / "data" / "run.json").read_text())["children"] == {}


def test_an_address_that_is_taken_is_said_at_once(running: Running, tmp_path: Path) -> None:
    done = holdfast("up", "--port", str(running.port), "--data", str(tmp_path / "other"), cwd=tmp_path)
    assert done.returncode == 1
    assert f"127.0.0.1:{running.port + 1} (node-1)" in done.stderr
    assert running.status()["health"] == "ok"


def test_a_server_that_does_not_stay_up_is_said_with_what_it_logged(tmp_path: Path) -> None:
    words = ["up", "--engine", "redis", "--port", str(free_base()), "--data", str(tmp_path / "data")]
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho out of order\nexit 1\n")
    program.chmod(0o755)
    nowhere = holdfast(*words, cwd=tmp_path, PATH="")
    assert nowhere.returncode == 1 and "redis-server is not installed" in nowhere.stderr
    for more in ([], ["--detach"]):
        done = holdfast(*words, *more, cwd=tmp_path, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert "does not stay up, it ended with status 1\n  out of order" in done.stderr
