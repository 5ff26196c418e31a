"""What `up`, `status` and `drill` show: a table of members, the last events, how to connect.

What it is: from a picture to rich's renderables, and to plain lines where there is no
terminal. What it is not: where the values come from (`holdfast.ops.picture`).

How to read it: `whole` is the live screen; `members` the table that `status` prints too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from holdfast.ops.connection import Connection
from holdfast.ops.happenings import Happening
from holdfast.ops.picture import Health, Picture, Row

COLOURS = {Health.OK: "green", Health.DEGRADED: "yellow", Health.DOWN: "red"}
WORDS = {
    Health.OK: "all is well",
    Health.DEGRADED: "clients can write; something is wrong",
    Health.DOWN: "clients cannot write",
}


WIDE = 104
"""Columns that a row needs with everything in it."""


def whole(
    picture: Picture,
    happenings: Sequence[Happening],
    connection: Connection,
    note: str,
    width: int,
    height: int,
) -> RenderableType:
    """Return the live screen for a terminal of so many columns and lines."""
    room = max(3, height - len(picture.rows) - len(connection.python) - 11)
    return Group(
        headline(picture),
        members(picture, width),
        Panel(_events(happenings[-room:]), title="what happened", title_align="left", border_style="dim"),
        connect(connection),
        Text(note, style="dim"),
    )


def headline(picture: Picture) -> Text:
    """Return who leads and how it is, in a line or two."""
    line = Text()
    line.append("● ", style=COLOURS[picture.health])
    line.append(WORDS[picture.health], style=f"bold {COLOURS[picture.health]}")
    if picture.leaders:
        verb = "leads" if len(picture.leaders) == 1 else "lead"
        line.append(f"   {', '.join(picture.leaders)} {verb}", style="bold")
    if picture.is_paused:
        line.append("   automatic failover is paused", style="yellow")
    if picture.problems:
        line.append(f"\n  {'; '.join(picture.problems[:3])}", style="yellow")
    return line


def members(picture: Picture, width: int) -> Table:
    """Return the table of all members; with few columns it says less of each."""
    is_narrow = width < WIDE
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("name", "address", "role", "health"):
        table.add_column(name, no_wrap=True)
    for name in ("offset", "lag", "keys", "memory", "ops/s"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in picture.rows:
        table.add_row(
            each.name,
            each.address.removeprefix("127.0.0.1") if is_narrow else each.address,
            Text(
                each.role if is_narrow else _role(each),
                style="bold cyan" if each.role == "primary" else "",
            ),
            Text(each.health, style="green" if each.is_ok else "bold red"),
            _number(each.offset),
            _bytes(each.lag),
            _number(each.keys),
            _bytes(each.memory),
            _number(each.operations),
        )
    return table


def _role(row: Row) -> str:
    if row.role == "replica" and row.follows:
        return f"replica of {row.follows}"
    if row.kind == "sentinel" and row.follows:
        return f"Sentinel: {row.follows}"
    return row.role or row.kind


def connect(connection: Connection) -> RenderableType:
    """Return how to connect."""
    lines = Text()
    lines.append("connect  ", style="dim")
    lines.append(f"{connection.url}\n", style="bold")
    lines.append(f"         {connection.command}\n")
    for number, each in enumerate(connection.python):
        lines.append("python   " if number == 0 else "         ", style="dim")
        lines.append(f"{each}\n")
    return lines


def connect_plain(connection: Connection) -> str:
    """Return the same as plain text."""
    python = "\n".join(f"  {each}" for each in connection.python)
    return f"Connect:\n  {connection.url}\n  {connection.command}\nPython:\n{python}"


def _events(happenings: Sequence[Happening]) -> Text:
    lines = Text()
    for number, each in enumerate(happenings):
        lines.append(clock(each.at), style="dim")
        lines.append(f"  {each.source:<11}", style="cyan" if each.event else "magenta")
        lines.append(f"{each.text}{'' if number + 1 == len(happenings) else chr(10)}")
    return lines if happenings else Text("nothing yet", style="dim")


def plain(happening: Happening) -> str:
    """Return an event as one line."""
    return f"{clock(happening.at)} {happening.source}: {happening.text}"


def clock(at: float) -> str:
    """Return the local time of day, with milliseconds."""
    return f"{time.strftime('%H:%M:%S', time.localtime(at))}.{int(at * 1000) % 1000:03d}"


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _bytes(value: int | None) -> str:
    if value is None:
        return ""
    amount, units = float(value), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while amount >= 1000 and unit != "TB":
        amount, unit = amount / 1000, next(units)
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
