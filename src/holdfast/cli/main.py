"""The command `holdfast`: one door to all tools.

It knows the names and summaries of its sub-commands and imports the module of
the one that is run, so that `holdfast --help` and completion answer at once.
Servers have doors of their own (`holdfast-server`, `holdfast-sentinel`).

How to read it: `COMMANDS` is the table; to add a tool, add its line.
"""

from __future__ import annotations

from importlib import import_module

import click

import holdfast

COMMANDS: dict[str, tuple[str, str]] = {
    "check-aof": ("holdfast.cli.check:check_aof", "Check an append-only file, and mend its tail."),
    "check-rdb": ("holdfast.cli.check_rdb:check_rdb", "Check an RDB file: every value of it."),
    "vip": ("holdfast.cli.vip:vip", "Hold a virtual address on the host where it should be."),
    "cluster": ("holdfast.cli.cluster:cluster", "Make, look at, reshard and mend clusters."),
    "proxy": ("holdfast.cli.proxy:proxy", "Serve one address in front of many servers."),
    "down": ("holdfast.cli.deployment:down", "Stop a deployment in order, losing nothing."),
    "drill": ("holdfast.cli.drill:drill", "Break something on purpose, and tell what clients saw."),
    "logs": ("holdfast.cli.deployment:logs", "Print the log of a process."),
    "migrate": ("holdfast.cli.migrate:migrate", "Move a live data set to another deployment."),
    "pause": ("holdfast.cli.deployment:pause", "Switch automatic failover off, for maintenance."),
    "resume": ("holdfast.cli.deployment:resume", "Switch automatic failover on again."),
    "sim": ("holdfast.cli.sim:sim", "Play deployments and their faults in virtual time."),
    "status": ("holdfast.cli.deployment:status", "Tell how a deployment is: ours, or any by address."),
    "switchover": ("holdfast.cli.deployment:switchover", "Let another node lead, losing nothing."),
    "up": ("holdfast.cli.up:up", "Run a whole fault-tolerant cache: the place to begin."),
}
"""Name: (module and attribute of the click command, summary)."""


class LazyGroup(click.Group):
    """A click group that imports a sub-command when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a sub-command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of sub-commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(holdfast.__version__, "-v", "--version", prog_name="holdfast")
def main() -> None:
    """Tools of Holdfast, a fault-tolerant distributed cache that speaks Redis."""


if __name__ == "__main__":
    main()
