"""Exit statuses that the deployment commands share, and options that many of them take.

0  it is so, it was done
1  it could not be done
2  the command line or holdfast.toml is wrong
3  the deployment works, but something is wrong with it (`status`)
4  nothing answers there, or clients cannot write
5  refused: it could lose data, and it was not said that it may
6  acknowledged writes were lost, or two data sets differ (`drill`, `migrate`)
"""

from __future__ import annotations

import asyncio
import os
from typing import NoReturn

import click

from holdfast.ops import topology
from holdfast.ops.files_on_disk import Directory
from holdfast.ops.topology import NotFound, Topology
from holdfast.ops.wire import Address

FAILED, USAGE, DEGRADED, UNREACHABLE, REFUSED, LOST = 1, 2, 3, 4, 5, 6
DEFAULT_DATA = "holdfast-data"

ADDRESS = click.argument("address", required=False, default="", metavar="[HOST:PORT]")
DATA = click.option(
    "--data", default=DEFAULT_DATA, show_default=True, metavar="DIR", help="The deployment's own directory."
)
PASSWORD = click.option(
    "--password", default="", envvar="HOLDFAST_PASSWORD", help="Or in HOLDFAST_PASSWORD.", metavar="TEXT"
)
GROUP = click.option("--name", "group", default="", metavar="NAME", help="The primary's name in Sentinel.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def fail(sentence: str, status: int = FAILED) -> NoReturn:
    """Say why on standard error and end."""
    click.echo(f"holdfast: {sentence}", err=True)
    raise SystemExit(status)


def directory(data: str) -> Directory:
    """Return the directory of a deployment."""
    return Directory(os.path.abspath(data))


def deployment_at(address: str, data: str, password: str, group: str) -> Topology:
    """Return the deployment at an address, or the one of a directory; end with status 4 if there is none."""
    try:
        if not address:
            return topology.own(directory(data))
        where = Address.parse(address)
        return asyncio.run(topology.find(where, password, group))
    except NotFound as error:
        fail(str(error), UNREACHABLE)
    except ValueError as error:
        fail(str(error), USAGE)
