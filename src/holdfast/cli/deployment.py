"""`holdfast status`, `switchover`, `pause`, `resume`, `logs`, `down`: a deployment that runs.

What it is: options in, words or JSON and an exit status out (`holdfast.cli.exits`). Without an
address it is the deployment of `--data`; with one, any Sentinel group or cluster that the
address belongs to, ours or not. What it is not: what is asked and ordered
(`holdfast.ops.picture`, `holdfast.ops.switchover`, `holdfast.ops.orders`).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time

import click

from holdfast.cli import exits
from holdfast.cli.exits import ADDRESS, AS_JSON, DATA, GROUP, PASSWORD, deployment_at, directory, fail
from holdfast.ops import control
from holdfast.ops.child import Child
from holdfast.ops.files_on_disk import Directory, DirectoryInUse
from holdfast.ops.orders import OrderFailed, set_automatic_failover
from holdfast.ops.picture import Health, take
from holdfast.ops.switchover import switch_over
from holdfast.ops.topology import NotFound

STATUS_OF = {Health.OK: 0, Health.DEGRADED: exits.DEGRADED, Health.DOWN: exits.UNREACHABLE}
LOG_POLL_S = 0.1


@click.command()
@ADDRESS
@DATA
@PASSWORD
@GROUP
@AS_JSON
def status(address: str, data: str, password: str, group: str, as_json: bool) -> None:
    """Tell who leads and how every member is.

    Exit status: 0 all is well, 3 clients can write but something is wrong, 4 clients cannot
    write, or nothing answers.
    """
    there = deployment_at(address, data, password, group)
    picture = asyncio.run(take(there, timeout_s=1.0))
    if as_json:
        click.echo(json.dumps(picture.as_json(), indent=2))
    else:
        from rich.console import Console

        from holdfast.cli.screen import headline, members

        console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
        console.print(headline(picture))
        console.print(members(picture, console.width))
    raise SystemExit(STATUS_OF[picture.health])


@click.command()
@ADDRESS
@click.option("--to", default="", metavar="NODE", help="Which replica shall lead, by name or address.")
@DATA
@PASSWORD
@GROUP
@AS_JSON
def switchover(address: str, to: str, data: str, password: str, group: str, as_json: bool) -> None:
    """Let a replica lead in the place of the primary, which stays as its replica.

    The primary hands over: writes wait for some milliseconds and none is lost. Exit status: 0
    done, 1 not done, 4 nothing answers.
    """
    there = deployment_at(address, data, password, group)
    try:
        done = asyncio.run(switch_over(there, to))
    except OrderFailed as error:
        fail(str(error))
    except NotFound as error:
        fail(str(error), exits.UNREACHABLE)
    if as_json:
        click.echo(json.dumps({"old": done.old, "new": done.new, "took_ms": round(done.took_ms, 1)}))
    else:
        click.echo(f"{done.new} leads, in the place of {done.old}, after {done.took_ms:.0f} ms")


@click.command()
@ADDRESS
@DATA
@PASSWORD
@GROUP
@AS_JSON
def pause(address: str, data: str, password: str, group: str, as_json: bool) -> None:
    """Switch automatic failover off: nodes may be stopped without another taking over.

    `holdfast switchover` works all the same; `holdfast resume` switches it on. Exit status: 0
    done everywhere, 1 somebody was not told, 4 nothing answers.
    """
    _switch(address, data, password, group, as_json, is_on=False)


@click.command()
@ADDRESS
@DATA
@PASSWORD
@GROUP
@AS_JSON
def resume(address: str, data: str, password: str, group: str, as_json: bool) -> None:
    """Switch automatic failover on again.

    Exit status: 0 done everywhere, 1 somebody was not told, 4 nothing answers.
    """
    _switch(address, data, password, group, as_json, is_on=True)


def _switch(address: str, data: str, password: str, group: str, as_json: bool, *, is_on: bool) -> None:
    there = deployment_at(address, data, password, group)
    try:
        told = asyncio.run(set_automatic_failover(there, is_on))
    except OrderFailed as error:
        fail(str(error))
    if as_json:
        click.echo(json.dumps({"automatic_failover": is_on, "told": told}))
    else:
        click.echo(f"Automatic failover is {'on' if is_on else 'off'}: told {', '.join(told)}")


@click.command()
@click.argument("node")
@DATA
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-n", "--lines", default=50, show_default=True, help="How many of the last lines.")
@AS_JSON
def logs(node: str, data: str, follow: bool, lines: int, as_json: bool) -> None:
    """Print what a process of a deployment logged.

    NODE is a name that `holdfast status` shows, or `holdfast` for the supervisor itself when it
    was started with --detach. Exit status: 0, or 4 if there is no such log.
    """
    where = directory(data)
    path = where.log_path(node)

    def tell(line: str) -> None:
        click.echo(json.dumps({"node": node, "line": line.rstrip("\n")}) if as_json else line, nl=as_json)

    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file.readlines()[-lines:]:
                tell(line)
            while follow:
                if line := file.readline():
                    tell(line)
                else:
                    time.sleep(LOG_POLL_S)  # a file has no event that everybody's system would tell
    except OSError:
        known = sorted(each.removesuffix(".log") for each in _listed(f"{where.path}/logs"))
        there = f": {', '.join(known)}" if known else ""
        fail(f"no log of {node!r} in {where.path}{there}", exits.UNREACHABLE)
    except KeyboardInterrupt:
        pass


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


@click.command()
@DATA
@AS_JSON
def down(data: str, as_json: bool) -> None:
    """Stop the deployment that runs in --data, in the order in which nothing is lost.

    Processes whose supervisor has died are stopped too. Exit status: 0 stopped, 4 nothing runs.
    """
    where = directory(data)
    began = time.monotonic()
    ended = asyncio.run(_down(where))
    if not ended:
        fail(f"nothing runs in {where.path}", exits.UNREACHABLE)
    seconds = time.monotonic() - began
    click.echo(json.dumps({"stopped": seconds}) if as_json else f"Stopped in {seconds:.1f} s.")


async def _down(where: Directory) -> bool:
    children = where.read("run.json").get("children", {})
    supervisor = int(where.read("run.json").get("supervisor", 0))
    try:
        await control.request(where, "stop")
    except control.NotRunning:
        return await _end_orphans(where, children)
    while supervisor:
        try:
            where.lock()
        except DirectoryInUse:
            await asyncio.sleep(0.02)
        else:
            where.unlock()
            break
    return True


async def _end_orphans(where: Directory, children: dict[str, list[int]]) -> bool:
    """End what a supervisor left behind, in its order as far as names tell it."""
    order = sorted(children, key=lambda name: (not name.startswith("proxy"), not name.startswith("sentinel")))
    found = False
    for name in order:
        child = Child.adopt(*children[name])
        if child is not None:
            found = True
            child.send(signal.SIGCONT)
            child.send(signal.SIGTERM)
            await child.wait(30.0)
    if found:
        where.write("run.json", {"supervisor": 0, "children": {}})
    return found
