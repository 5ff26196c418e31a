"""`holdfast proxy`: the sharding proxy, with the options of nutcracker.

How to read it: `proxy` is the order of events. Options of nutcracker that mean
nothing here (`--stats-interval`, `--mbuf-size`) are taken and left alone, so that
its service files need no other change.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click

LEVELS = ("warning", "warning", "warning", "warning", "warning", "notice", "verbose", "debug")
"""Of nutcracker's levels 0 to 7; above them: debug."""


@click.command()
@click.option("-c", "--conf-file", default="/etc/nutcracker/nutcracker.yml", show_default=True)
@click.option("-s", "--stats-port", default=22222, show_default=True, help="Port of the statistics, 0 for none.")
@click.option("-a", "--stats-addr", default="0.0.0.0", show_default=True, help="Address of the statistics.")
@click.option("-i", "--stats-interval", default=30000, help="Taken and ignored: statistics are always of now.")
@click.option("-v", "--verbose", default=5, show_default=True, help="Log level, 0 to 11.")
@click.option("-o", "--output", default="", help="Log file; standard output without one.")
@click.option("-m", "--mbuf-size", default=16384, help="Taken and ignored: buffers grow as they have to.")
@click.option("-p", "--pid-file", default="", help="Where to write the pid.")
@click.option("-t", "--test-conf", is_flag=True, help="Test the configuration, and end.")
@click.option("-d", "--daemonize", "background", is_flag=True, help="Go on in the background.")
@click.option("-D", "--describe-stats", is_flag=True, help="Describe the statistics, and end.")
@click.option("--drain-seconds", default=30.0, show_default=True, help="How long SIGTERM waits for clients.")
def proxy(conf_file: str, describe_stats: bool, test_conf: bool, **options: Any) -> None:
    """Serve one address in front of many servers, from a nutcracker.yml."""
    if describe_stats:
        from holdfast.proxy.stats import describe

        click.echo(describe(), nl=False)
        return
    if test_conf:
        sys.exit(_test(conf_file))
    from holdfast.server.process import daemonize, remove_pid_file, write_pid_file

    path = os.path.abspath(conf_file)
    output = os.path.abspath(options["output"]) if options["output"] else ""
    if options["background"]:
        daemonize()
    pid_file = options["pid_file"]
    if pid_file and (problem := write_pid_file(pid_file)):
        click.echo(problem, err=True)
    try:
        from holdfast.node.proxy_process import run

        port = options["stats_port"]
        status = run(
            path,
            stats_at=(options["stats_addr"], port) if port else None,
            log_path=output,
            level=LEVELS[min(max(options["verbose"], 0), len(LEVELS) - 1)],
            drain_s=options["drain_seconds"],
        )
    finally:
        if pid_file:
            remove_pid_file(pid_file)
    sys.exit(status)


def _test(path: str) -> int:
    """Read the file; say as nutcracker does whether it is one."""
    from holdfast.proxy.config import BadFile, read

    try:
        with open(path, encoding="utf-8") as file:
            read(file.read())
    except (OSError, BadFile, UnicodeDecodeError) as error:
        click.echo(f"holdfast proxy: configuration file '{path}' syntax is invalid: {error}", err=True)
        return 1
    click.echo(f"holdfast proxy: configuration file '{path}' syntax is ok", err=True)
    return 0
