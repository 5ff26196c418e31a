"""`holdfast up`: the whole deployment in one command, with a live screen.

What it is: options and holdfast.toml made into a deployment, the supervisor's life around
Ctrl-C, and what is shown meanwhile. What it is not: what runs (`holdfast.ops.plan`) or how
(`holdfast.ops.supervisor`).

How to read it: `up`, then `_run`, then `_show`; `_detach` starts the same in the background.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from holdfast.cli import exits
from holdfast.cli.exits import fail
from holdfast.cli.up_show import Show
from holdfast.ops import answers, control, topology
from holdfast.ops.connection import how_to_connect
from holdfast.ops.deployment_file import DeploymentFileError, read_deployment
from holdfast.ops.files_on_disk import Directory, DirectoryInUse
from holdfast.ops.model import ClusterShape, Deployment, Engine, Persistence, problems
from holdfast.ops.plan import Planned, Programs, on_host, plan
from holdfast.ops.supervisor import CannotStart, Supervisor
from holdfast.ops.watch import listen

FILE = "holdfast.toml"
READY_LIMIT_S = 60.0


@click.command()
@click.option("-f", "--file", "file", metavar="FILE", help=f"What there shall be; ./{FILE} if it is there.")
@click.option("--port", type=int, help="The stable port.  [default: 6379]", metavar="PORT")
@click.option("--replicas", type=int, help="[default: 2]", metavar="N")
@click.option("--sentinels", type=int, help="[default: 3]", metavar="N")
@click.option("--cluster", metavar="SHARDSxREPLICAS", help="A cluster instead, such as 3x1.")
@click.option("--engine", type=click.Choice([each.value for each in Engine]), help="What data nodes run.")
@click.option(
    "--persistence", type=click.Choice([each.value for each in Persistence]), help="What they keep on disk."
)
@click.option("--data", metavar="DIR", help=f"Where all files go.  [default: ./{exits.DEFAULT_DATA}]")
@exits.PASSWORD
@click.option("--only", default="", metavar="HOST", help="Run what the file places on this host.")
@click.option("--no-proxy", is_flag=True, help="No stable port: clients ask Sentinels, or speak Cluster.")
@click.option("--detach", is_flag=True, help="Return when it is ready; `holdfast down` ends it.")
@exits.AS_JSON
def up(
    file: str | None,
    cluster: str | None,
    only: str,
    no_proxy: bool,
    detach: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Run a fault-tolerant cache: a primary, replicas, Sentinels and one stable port.

    Ctrl-C stops all in order and loses nothing. Exit status: 0 after an orderly end, 1 if it
    does not come up, 2 for wrong settings.
    """
    deployment = _deployment(file, cluster, no_proxy, settings)
    everything = plan(deployment, _programs(), _identity(deployment))
    mine = on_host(everything, only)
    if not mine:
        hosts = ", ".join(each.name for each in deployment.hosts)
        fail(f"nothing runs on host {only!r}; hosts are {hosts}", exits.USAGE)
    directory = Directory(deployment.data)
    _same_as_before(directory, everything)
    if detach:
        raise SystemExit(_detach(deployment, directory, as_json))
    try:
        directory.lock()
    except (DirectoryInUse, OSError) as error:
        fail(str(error))
    try:
        asyncio.run(_run(deployment, everything, mine, directory, as_json))
    except CannotStart as error:
        fail(str(error))
    finally:
        directory.unlock()


# ---- what there shall be ----


def _deployment(
    file: str | None, cluster: str | None, no_proxy: bool, settings: dict[str, Any]
) -> Deployment:
    deployment = Deployment()
    path = file or FILE
    if file or os.path.exists(path):
        try:
            with open(path, encoding="utf-8") as opened:
                deployment = read_deployment(opened.read(), path)
        except OSError as error:
            fail(f"{path}: {error.strerror}", exits.USAGE)
        except (DeploymentFileError, UnicodeDecodeError) as error:
            fail(str(error), exits.USAGE)
    given: dict[str, Any] = {name: value for name, value in settings.items() if value not in (None, "")}
    try:
        if cluster:
            given["cluster"] = ClusterShape.parse(cluster)
    except ValueError as error:
        fail(str(error), exits.USAGE)
    if "engine" in given:
        given["engine"] = Engine(given["engine"])
    if "persistence" in given:
        given["persistence"] = Persistence(given["persistence"])
    if given.get("replicas") == 0 and "sentinels" not in given:
        given["sentinels"] = 0
    deployment = replace(deployment, **given)
    if no_proxy:
        deployment = replace(deployment, proxy=False)
    deployment = replace(deployment, data=os.path.abspath(deployment.data))
    wrong = problems(deployment)
    if wrong:
        fail("\n".join(f"{setting}: {sentence}" for setting, sentence in wrong), exits.USAGE)
    return deployment


def _programs() -> Programs:
    python = (sys.executable, "-m")
    return Programs(
        server=(*python, "holdfast.cli.server"),
        sentinel=(*python, "holdfast.cli.sentinel"),
        proxy=(*python, "holdfast.cli.main", "proxy"),
    )


def _identity(deployment: Deployment) -> str:
    """Return what makes this deployment itself, the same on each of its hosts."""
    places = [(name, *deployment.place_of(name)) for name in deployment.process_names]
    return f"{deployment.name} {[(name, host.address, port) for name, host, port in places]}"


def _same_as_before(directory: Directory, everything: tuple[Planned, ...]) -> None:
    """End if the data belongs to a deployment on other addresses: its Sentinels would look for those."""
    known = directory.read("deployment.json").get("processes", {})
    for each in everything:
        before = known.get(each.name, str(each.address))
        if before != str(each.address):
            fail(
                f"{directory.path} belongs to a deployment whose {each.name} is at {before}, not at "
                f"{each.address}: give the ports that it had, or another --data",
                exits.USAGE,
            )


# ---- its life ----


async def _run(
    deployment: Deployment,
    everything: tuple[Planned, ...],
    mine: tuple[Planned, ...],
    directory: Directory,
    as_json: bool,
) -> None:
    """Run until it is to stop. Raises `CannotStart`."""
    began = time.monotonic()
    show = Show(deployment, as_json)
    supervisor = Supervisor(deployment, everything, mine, directory, show.tell)
    is_ready = False

    async def answer(asked_for: dict[str, Any]) -> dict[str, Any]:
        told = answers.answer(supervisor, asked_for)
        return {**told, "ready": is_ready} if asked_for.get("do") == "status" else told

    _follow_signals(supervisor, show)
    watching: list[asyncio.Task[None]] = []
    async with control.listening(directory, answer):
        try:
            await supervisor.start()
            stopped = asyncio.create_task(supervisor.stop_wanted.wait())
            coming = asyncio.create_task(supervisor.wait_ready(READY_LIMIT_S))
            await asyncio.wait((stopped, coming), return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                coming.result()
                is_ready = True
                there = topology.own(directory)
                watching.append(asyncio.create_task(listen(there, show.tell)))
                show.ready(time.monotonic() - began)
                await show.until(supervisor.stop_wanted, there)
            else:
                coming.cancel()
        finally:
            for each in watching:
                each.cancel()
            show.stopping()
            await supervisor.stop()


def _follow_signals(supervisor: Supervisor, show: Show) -> None:
    loop = asyncio.get_running_loop()

    def asked_to_stop() -> None:
        if supervisor.stop_wanted.is_set():
            running = [name for name, slot in supervisor.slots.items() if slot.child is not None]
            show.say(f"stopping in order, so that nothing is lost; still running: {', '.join(running)}")
        supervisor.stop_wanted.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked_to_stop)


# ---- in the background ----


def _detach(deployment: Deployment, directory: Directory, as_json: bool) -> int:
    """Start the same command in the background; return when it is ready."""
    from holdfast.cli.screen import connect_plain

    began = time.monotonic()
    words = [each for each in sys.argv[1:] if each not in ("--detach", "--json")]
    os.makedirs(f"{directory.path}/logs", exist_ok=True)
    path = directory.log_path("holdfast")
    with open(path, "ab") as log:
        at = log.tell()
        started = subprocess.Popen(
            [sys.executable, "-m", "holdfast.cli.main", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    if not _until_ready(directory, started.poll):
        with open(path, encoding="utf-8", errors="replace") as log_text:
            log_text.seek(at)
            click.echo(log_text.read().rstrip(), err=True)
        return exits.FAILED
    seconds = time.monotonic() - began
    connection = how_to_connect(deployment)
    if as_json:
        click.echo(json.dumps({"ready": seconds, "pid": started.pid, "url": connection.url}))
    else:
        click.echo(f"Ready after {seconds:.1f} s, process {started.pid}.\n{connect_plain(connection)}")
    return 0


def _until_ready(directory: Directory, poll: Callable[[], int | None]) -> bool:
    async def wait() -> bool:
        while poll() is None:
            with contextlib.suppress(control.NotRunning, control.RequestFailed):
                if (await control.request(directory, "status", 5.0)).get("ready"):
                    return True
            await asyncio.sleep(0.05)
        return False

    return asyncio.run(wait())
