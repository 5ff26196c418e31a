"""`holdfast drill`: break something on purpose, and tell what clients saw.

What it is: options, what may be done to whom, a deployment for the drill alone where none is
named, and the report as words, JSON and a page. What it is not: the drill
(`holdfast.ops.drill`).

How to read it: `drill`, then `_alone`, which runs a deployment for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

import holdfast
from holdfast.cli import exits
from holdfast.cli.exits import AS_JSON, DATA, GROUP, PASSWORD, deployment_at, directory, fail
from holdfast.ops import model, topology
from holdfast.ops.drill import namespaces
from holdfast.ops.drill.faults import FAULTS, HARMLESS, Fault
from holdfast.ops.drill.page import page
from holdfast.ops.drill.report import Report, in_words
from holdfast.ops.drill.run import DrillFailed, Scope
from holdfast.ops.drill.run import drill as run_drill
from holdfast.ops.topology import Topology

HOSTS = 3
SPAN = 16
PORTS_AFTER = (0, model.CLUSTER_BUS_AFTER, model.SENTINEL_PORTS_AFTER)


@click.command(
    epilog="\b\nFaults:\n" + "\n".join(f"  {fault.value:<14} {words}" for fault, words in FAULTS.items())
)
@click.argument("fault", type=click.Choice([each.value for each in Fault]), default="kill")
@exits.ADDRESS
@DATA
@PASSWORD
@GROUP
@click.option("--html", metavar="FILE", help="Write the report as a page with the timeline drawn.")
@AS_JSON
@click.option("--writers", default=4, show_default=True, metavar="N")
@click.option("--readers", default=2, show_default=True, metavar="N")
@click.option("--cluster", metavar="SHARDSxREPLICAS", help="For a deployment of its own: a cluster.")
@click.option("--engine", help="For a deployment of its own: what its data nodes run.")
@click.option("--ack", default=0, metavar="N", help="For a deployment of its own: min-replicas-to-ack.")
@click.option(
    "--yes-really", is_flag=True, help="Break a deployment that is not ours, even if that may lose data."
)
def drill(
    fault: str,
    address: str,
    data: str,
    password: str,
    group: str,
    html: str | None,
    as_json: bool,
    writers: int,
    readers: int,
    cluster: str | None,
    engine: str | None,
    ack: int,
    yes_really: bool,
) -> None:
    """Write and read, break one thing, and tell what clients saw.

    Without an address it breaks the deployment that runs in --data; if none runs there, it
    starts one for the drill alone, in a temporary directory. What it wrote is removed.

    Exit status: 0 nothing was lost and clients could go on; 6 acknowledged writes were lost, or
    clients could not go on; 1 the drill could not be done; 4 nothing answers; 5 refused.
    """
    signal.signal(signal.SIGTERM, _end)
    wanted, scope = Fault(fault), Scope(max(1, writers), max(0, readers))
    if address and wanted not in HARMLESS and not yes_really:
        fail(
            f"{address} is not a deployment of ours, and {fault!r} may lose data there: "
            f"only {', '.join(each.value for each in HARMLESS)} cannot. Say --yes-really to do it.",
            exits.REFUSED,
        )
    if address or _runs(data, wanted):
        report = _do(deployment_at(address, data, password, group), wanted, scope, quiet=as_json)
    elif wanted is Fault.PARTITION:
        raise SystemExit(_in_namespaces(cluster, engine, ack))
    else:
        with _alone(cluster, engine, ack) as found:
            report = _do(found, wanted, scope, quiet=as_json)
    _hand_over(report, html, as_json)
    raise SystemExit(0 if report.is_good else exits.LOST)


def _end(number: int, frame: FrameType | None) -> None:
    """End in good order: what was started or cut for the drill does not outlive it."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _do(there: Topology, fault: Fault, scope: Scope, *, quiet: bool) -> Report:
    def tell(sentence: str) -> None:
        if not quiet:
            click.echo(f"  … {sentence}", err=True)

    try:
        return asyncio.run(run_drill(there, fault, scope, tell))
    except DrillFailed as error:
        fail(str(error))


def _hand_over(report: Report, html: str | None, as_json: bool) -> None:
    if html:
        with open(html, "w", encoding="utf-8") as file:
            file.write(page(report, f"Holdfast {holdfast.__version__}"))
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        click.echo(in_words(report))
        if html:
            click.echo(f"\n  the timeline, drawn: {html}")


# ---- a deployment for the drill alone ----


def _runs(data: str, fault: Fault) -> bool:
    """Tell whether a deployment runs there that this fault can be made to."""
    where = directory(data)
    if not os.path.exists(where.socket_path):
        return False
    return fault is not Fault.PARTITION or namespaces.are_there(topology.own(where))


@contextmanager
def _alone(cluster: str | None, engine: str | None, ack: int) -> Iterator[Topology]:
    """Run a deployment on free ports for one drill."""
    with _home() as home:
        text = f"port = {_free_ports()}\nmin-replicas-to-ack = {ack}\n"
        words = _up_words(home, text, cluster, engine)
        _holdfast([], *words)
        try:
            yield topology.own(directory(f"{home}/data"))
        finally:
            _holdfast([], "down", "--data", f"{home}/data", check=False)


def _in_namespaces(cluster: str | None, engine: str | None, ack: int) -> int:
    """Run a deployment whose hosts are network namespaces, and this same drill among them."""
    try:
        network = asyncio.run(namespaces.make(HOSTS))
    except namespaces.NoNamespaces as error:
        fail(str(error))
    inside = ["ip", "netns", "exec", network.clients]
    try:
        with _home() as home:
            _holdfast(inside, *_up_words(home, _file_of(network, cluster, ack), cluster, engine))
            try:
                words = [*inside, *_program(), *_given_arguments(), "--data", f"{home}/data"]
                return subprocess.run(words, check=False).returncode
            finally:
                _holdfast(inside, "down", "--data", f"{home}/data", check=False)
    finally:
        asyncio.run(namespaces.remove(network))


def _file_of(network: namespaces.Network, cluster: str | None, ack: int) -> str:
    hosts = "".join(
        f'host-{number} = {{ address = "{address}", namespace = "{name}" }}\n'
        for number, (address, name) in enumerate(network.hosts, 1)
    )
    clients = f'clients = {{ address = "{namespaces.CLIENTS}", namespace = "{network.clients}" }}\n'
    try:
        shape = model.ClusterShape.parse(cluster) if cluster else None
    except ValueError as error:
        fail(str(error), exits.USAGE)
    dealt = [each for each in model.Deployment(cluster=shape).process_names if each != "proxy"]
    places = "".join(
        f'[processes.{name}]\nhost = "host-{(int(name.rpartition("-")[2]) - 1) % len(network.hosts) + 1}"\n'
        for name in dealt
    )
    shape_line = f'cluster = "{shape}"\n' if shape else ""
    proxy = '[processes.proxy]\nhost = "clients"\n'
    return f"min-replicas-to-ack = {ack}\n{shape_line}[hosts]\n{hosts}{clients}{places}{proxy}"


@contextmanager
def _home() -> Iterator[str]:
    home = tempfile.mkdtemp(prefix="holdfast-drill-")
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _up_words(home: str, text: str, cluster: str | None, engine: str | None) -> list[str]:
    with open(f"{home}/holdfast.toml", "w", encoding="utf-8") as file:
        file.write(text)
    words = ["up", "--detach", "--file", f"{home}/holdfast.toml", "--data", f"{home}/data"]
    words += ["--cluster", cluster] if cluster else []
    return words + (["--engine", engine] if engine else [])


def _program() -> list[str]:
    return [sys.executable, "-m", "holdfast.cli.main"]


def _given_arguments() -> list[str]:
    """Return our own arguments, with files by their full path."""
    words = sys.argv[1:]
    return [
        os.path.abspath(word) if before == "--html" else word for before, word in zip(["", *words], words)
    ]


def _holdfast(inside: list[str], *words: str, check: bool = True) -> None:
    done = subprocess.run(
        [*inside, *_program(), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
    )
    if check and done.returncode:
        fail(f"the deployment for the drill does not come up:\n{done.stdout}")


def _free_ports() -> int:
    """Return a stable port that is free, as are those of nodes, their cluster buses and Sentinels."""
    for _ in range(100):
        first = random.randrange(10_000, 20_000, SPAN)  # below what the system gives to clients
        wanted = [first + offset + each for offset in PORTS_AFTER for each in range(SPAN)]
        with contextlib.ExitStack() as held:
            try:
                for each in wanted:
                    held.enter_context(_bound(each))
            except OSError:
                continue
        return first
    fail("no free ports for a deployment of its own")


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    try:
        made.bind(("127.0.0.1", port))
    except OSError:
        made.close()
        raise
    return made
