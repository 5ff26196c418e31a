"""Running a job of `holdfast cluster`: connect, show progress, hear Ctrl-C, say how to go on.

How to read it: `Session` is a job's surroundings; `run_command` turns what can happen into words and
an exit code; `Session.move` and `Session.ready` are what the sub-commands are made of.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from holdfast.cli.cluster_options import CANCELLED, DONE, REFUSED, STOPPED, Door
from holdfast.cli.cluster_words import (
    moves_json,
    moves_table,
    outcome_json,
    outcome_words,
    remedies_json,
    remedies_table,
)
from holdfast.cluster.jobs.balance import Move, NoPlan
from holdfast.cluster.jobs.contact import Contact, NotACluster
from holdfast.cluster.jobs.membership import DidNotSettle, NotFresh
from holdfast.cluster.jobs.mending import Kind, Remedy, remedies
from holdfast.cluster.jobs.mover import GaveUp, Mover, Outcome, Settings
from holdfast.cluster.jobs.remote import NodeLost, Refused
from holdfast.cluster.jobs.slot_move import CannotMove
from holdfast.cluster.jobs.surgeon import Surgeon, cases_of
from holdfast.cluster.jobs.topology import BadView, Picture
from holdfast.cluster.jobs.window import NotNow, Undecided

SHOW_S = 0.1
PIPE_COLUMNS = 200
"""Where no terminal tells how wide it is."""
LONG_COMMAND = 2_000
"""Characters of a command that nobody wants to see before it is needed."""
STILL_S = 0.7
"""Marks that change within this time belong to a job that is at work."""


class Stop(Exception):
    """The command ends here, with a reason and an exit code."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


class Session:
    """A job's surroundings: the cluster, how to speak, what to say at the end."""

    def __init__(self, door: Door, seeds: Sequence[tuple[str, int]]) -> None:
        self.door, self.seeds = door, seeds
        self.console = Console(stderr=True)
        self.out = Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS)
        self.report: dict[str, Any] = {}
        """What --json prints."""
        self.contact: Contact

    def say(self, text: str) -> None:
        """Tell people what is going on; programs do not hear it."""
        if not self.door.as_json:
            self.console.print(text, highlight=False, soft_wrap=True)

    def show(self, what: Any) -> None:
        """Print a table or a line of the result."""
        if not self.door.as_json:
            self.out.print(what, highlight=False, soft_wrap=isinstance(what, str))

    async def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before anything is changed. Raises Stop."""
        if not yes and not (sys.stdin.isatty() and await _asked(question)):
            raise Stop(
                "Nothing was changed" + ("." if sys.stdin.isatty() else ": say --yes to begin."), REFUSED
            )

    def command(self, name: str, *words: str) -> str:
        """Return a command line for this cluster, with the same way in and the same pace."""
        seeds = (f"{host}:{port}" for host, port in self.seeds)
        return " ".join(("holdfast cluster", name, *seeds, *words)) + self.door.words

    # ------------------------------------------------------------------ moves

    async def ready(self, settings: Settings, *, dry_run: bool, yes: bool) -> Picture:
        """Return the cluster once no slot is open; a move that stopped half-way is finished first.

        Raises Stop where that takes a decision (`holdfast cluster fix` asks for it).
        """
        picture = await self.contact.survey()
        found = remedies(await cases_of(self.contact, picture, strays=False), picture)
        if not found:
            return picture
        await self.still(picture)
        if any(each.risk or each.kind is Kind.COVER for each in found):
            self.show(remedies_table(picture, found))
            raise Stop(f"First: {self.command('fix')}", REFUSED)
        self.report["unfinished"] = remedies_json(picture, found)
        self.say("A move stopped half-way here. It is finished first:")
        self.show(remedies_table(picture, found))
        if dry_run:
            return picture
        await self.confirm("Finish it?", yes=yes)
        await self.mend(found, settings, picture)
        return await self.contact.survey()

    async def still(self, picture: Picture) -> None:
        """Make sure that nobody else is moving slots. Raises Stop."""
        before = {name: (view.migrating, view.importing) for name, view in picture.views.items()}
        if not any(migrating or importing for migrating, importing in before.values()):
            return
        await asyncio.sleep(STILL_S)
        after = await self.contact.survey()
        now = {name: (view.migrating, view.importing) for name, view in after.views.items()}
        if now != before:
            raise Stop("Slots are being moved right now by another job: wait until it has ended.", REFUSED)

    async def mend(self, found: Sequence[Remedy], settings: Settings, picture: Picture) -> None:
        """Do remedies. Raises Stop."""
        mover = Mover(self.contact, settings)
        surgeon = Surgeon(self.contact, mover, self.say)
        total = sum(each.kind is Kind.FORWARD for each in found)
        outcome = await self.watched(mover, total, surgeon.run(found))
        if outcome is not None:
            self.report["finished"] = outcome_json(picture, outcome)
            self.end(outcome, self.command("fix"))

    async def move(self, picture: Picture, moves: Sequence[Move], settings: Settings, resume: str) -> None:
        """Do moves; raises Stop unless all was moved. `resume` is the command that goes on."""
        if len(resume) <= LONG_COMMAND:
            self.say(
                f"[dim]If this is interrupted, it goes on with (from any machine):\n  {_plain(resume)}[/]"
            )
        else:
            self.say(f"[dim]If this is interrupted, the command that goes on is printed then; "
                     f"if this tool is killed, begin with {_plain(self.command('fix'))}[/]")  # fmt: skip
        mover = Mover(self.contact, settings)
        total = sum(len(move.slots) for move in moves)
        outcome = await self.watched(mover, total, mover.run(moves))
        assert outcome is not None
        self.report["outcome"] = outcome_json(picture, outcome)
        self.end(outcome, resume)

    def end(self, outcome: Outcome, resume: str) -> None:
        """Say how it went. Raises Stop."""
        self.show(outcome_words(outcome))
        if outcome.is_complete:
            return
        self.report["resume"] = resume
        fault = outcome.fault
        left = sum(len(move.slots) for move in outcome.left)
        state = "no slot is open"
        if outcome.open_slots:
            state = f"{outcome.open_slots} slots are open, and served by both ends"
        elif outcome.open_slots is None:
            state = "no node could be asked which slots are open"
        reason = "Cancelled" if outcome.cancelled and fault is None else f"Stopped: {fault}"
        undecided = isinstance(fault, Undecided)
        how = "choose with --keep source or --keep target; go on with" if undecided else "Go on with"
        raise Stop(
            f"{reason}; {left:,} slots are left, {state}. {how}:\n  {resume}",
            CANCELLED if fault is None else REFUSED if undecided else STOPPED,
        )

    async def watched(self, mover: Mover, total: int, work: Awaitable[Outcome | None]) -> Outcome | None:
        """Await a job with a progress bar; Ctrl-C ends it in good order."""
        loop = asyncio.get_running_loop()

        def cancel() -> None:
            self.say("Finishing the slots that are open; once more to leave them open.")
            mover.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, cancel)
        columns = (TextColumn("slots"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"),
                   TimeRemainingColumn())  # fmt: skip
        hidden = self.door.as_json or not sys.stderr.isatty()
        try:
            with Progress(*columns, console=self.console, transient=True, disable=hidden) as bar:
                task = bar.add_task("", total=total)

                async def show() -> None:
                    while True:
                        tally = mover.tally
                        words = f"{tally.keys:,} keys" + (
                            f"  [yellow]{_plain(tally.trouble)}[/]" if tally.trouble else ""
                        )
                        bar.update(task, completed=tally.slots, description=words)
                        await asyncio.sleep(SHOW_S)

                shower = loop.create_task(show())
                try:
                    return await work
                finally:
                    shower.cancel()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def plan(self, picture: Picture, moves: Sequence[Move]) -> None:
        """Show moves."""
        self.report["plan"] = moves_json(picture, moves)
        if moves:
            self.show(moves_table(picture, moves))
        else:
            self.show("Nothing is to be moved.")


def run_command(session: Session, work: Callable[[], Awaitable[int]], *, connect: bool = True) -> None:
    """Run a sub-command: connect, do, report, exit."""

    async def whole() -> int:
        if not connect:
            return await work()
        session.contact = await Contact.open(session.seeds, session.door.access)
        try:
            return await work()
        finally:
            await session.contact.close()

    code, reason = DONE, ""
    try:
        code = asyncio.run(whole())
    except Stop as stop:
        code, reason = stop.code, str(stop)
    except (NotFresh, NoPlan, Undecided) as error:
        code, reason = REFUSED, str(error)
    except (NodeLost, Refused, NotNow, NotACluster, DidNotSettle, BadView, CannotMove, GaveUp) as error:
        code, reason = STOPPED, str(error)
    except KeyboardInterrupt:
        code, reason = CANCELLED, "Cancelled. The same command goes on."
    if session.door.as_json:
        click.echo(json.dumps({**session.report, "exit_code": code, "reason": reason or None}, indent=2))
    elif reason:
        click.echo(reason, err=True)
    sys.exit(code)


def resume_moves(session: Session, moves: Sequence[Move]) -> str:
    """Return the command that does these moves, or what is left of them."""
    return session.command("reshard", *(f"--move {shlex.quote(move.order)}" for move in moves))


async def _asked(question: str) -> bool:
    """Ask on the terminal. Ctrl-C, SIGTERM and the end of input cancel. Raises Stop.

    The loop waits for the line: a read that blocks would not hear asyncio's handler of SIGINT.
    """
    while True:
        match (await _typed(f"{question} [y/N]: ")).strip().lower():
            case "y" | "yes":
                return True
            case "" | "n" | "no":
                return False
        click.echo("Please say y or n.", err=True)


async def _typed(prompt: str) -> str:
    """Return the line that is typed after a prompt. Raises Stop."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    typed = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), typed.set)
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT is ignored in what a script starts beside
        loop.add_signal_handler(number, task.cancel)
    click.echo(prompt, nl=False, err=True)
    try:
        await typed.wait()
        line = sys.stdin.readline()
    except asyncio.CancelledError:
        line = ""
    finally:
        loop.remove_reader(sys.stdin.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    if not line:
        click.echo(err=True)
        raise Stop("Cancelled: nothing, or nothing more, was changed.", CANCELLED)
    return line


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
