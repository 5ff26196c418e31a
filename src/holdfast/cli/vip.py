"""`holdfast vip`: the agent that holds a virtual address on the host where it should be.

How to read it: `run` is the agent, `status` asks one. Settings: `holdfast.vip.settings`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import click

from holdfast.vip.settings import BadSettings, Settings, read_settings

UNUSABLE, NOT_REACHED = 2, 3
"""Exit codes besides 0: settings or kernel refuse; nobody answers."""
STATUS_TIMEOUT_S = 3


@click.group()
def vip() -> None:
    """Hold a virtual address on the host where it should be.

    Exit codes: 0 well, 2 the settings or the kernel refuse, 3 no agent answers.
    """


@vip.command()
@click.option("-c", "--config", "path", required=True, type=click.Path(), help="The agent's file.")
@click.option("--dry-run", is_flag=True, help="Decide and say, but change nothing and take nobody's vote.")
@click.option("--name", help="This host's name towards the voters (default: the host name).")
def run(path: str, dry_run: bool, name: str | None) -> None:
    """Run the agent until SIGTERM or SIGINT; then it lets go of its addresses."""
    settings = _read(path)
    try:
        asyncio.run(_serve(settings, dry_run, name or socket.gethostname()))
    except OSError as error:
        hint = "; it needs CAP_NET_ADMIN and CAP_NET_RAW, or --dry-run" if error.errno in (1, 13) else ""
        click.echo(f"holdfast vip: {error}{hint}", err=True)
        sys.exit(UNUSABLE)


@vip.command()
@click.option("-c", "--config", "path", type=click.Path(dir_okay=False), help="The agent's file.")
@click.option("--at", help="host:port of an agent's status, instead of the file.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(path: str | None, at: str | None, as_json: bool) -> None:
    """Show who holds what, and why."""
    if at is not None:
        host, _, port = at.rpartition(":")
        endpoint = (host, int(port)) if host and port.isdigit() else None
    else:
        endpoint = _read(path).status if path is not None else None
    if endpoint is None:
        click.echo("holdfast vip: name the agent by --at host:port, or a file with `status`", err=True)
        sys.exit(UNUSABLE)
    try:
        told = json.loads(_ask(endpoint))
    except (OSError, ValueError) as error:
        click.echo(f"holdfast vip: no agent answers at {endpoint[0]}:{endpoint[1]}: {error}", err=True)
        sys.exit(NOT_REACHED)
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    _show(told)


def _read(path: str) -> Settings:
    try:
        return read_settings(Path(path).read_text(), path)
    except (OSError, BadSettings) as error:
        click.echo(f"holdfast vip: {error}", err=True)
        sys.exit(UNUSABLE)


def _ask(endpoint: tuple[str, int]) -> bytes:
    with socket.create_connection(endpoint, STATUS_TIMEOUT_S) as connection:
        told = b""
        while part := connection.recv(65536):
            told += part
    return told


def _show(told: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "addresses", "state", "lease left", "local server", "why")
    for each in told:
        colour = "green" if each["state"] == "holding" else "red" if not each["server_alive"] else "yellow"
        table.add_row(
            each["name"],
            "\n".join(each["addresses"]),
            f"[{colour}]{each['state']}[/]",
            f"{each['lease_left_ms']} ms",
            f"{each['server']} {'serves' if each['server_alive'] else 'is down'}",
            "\n".join(each["reasons"]),
        )
    Console().print(table)


async def _serve(settings: Settings, dry_run: bool, name: str) -> None:
    from dataclasses import replace

    from holdfast.node.vip import VipAgent
    from holdfast.server.log import Log
    from holdfast.server.machine import Machine
    from holdfast.vip.hooks import Processes
    from holdfast.vip.netlink import DryAddresses, KernelAddresses

    host = Machine()
    host.name = name
    log = Log(host.clock, host.disk, host.pid, lambda line: os.write(1, line), path="")
    log.role = "V"
    opened: dict[str, DryAddresses | KernelAddresses] = {}
    if dry_run:
        # Under another name no voter's real vote is taken.
        dry = tuple(
            replace(each, name=f"dry-run:{each.name}", before_acquire=(), after_acquire=(), after_release=())
            for each in settings.addresses
        )
        settings = replace(settings, addresses=dry)

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        for each in settings.addresses:
            made = DryAddresses(each, log.notice) if dry_run else KernelAddresses(each)
            opened[each.name] = made
            await made.open()
            if isinstance(made, KernelAddresses) and made.gate_missing:
                log.warning(f"{each.name}: no gate, lifetimes of whole seconds end it: {made.gate_missing}")
        agent = VipAgent(settings, host, log, lambda each: opened[each.name], Processes())
        await agent.start()
        log.notice(f"Watching {', '.join(each.name for each in settings.addresses)} on {name}")
        await stopping.wait()
        log.notice("Letting go of all addresses")
        await agent.stop()
    finally:
        for made in opened.values():
            with contextlib.suppress(OSError):
                await made.close()
