"""A run in plain words, and as a picture.

What this is: the event log of a played seed made readable: `told` as text, `picture` as a
timeline in SVG with a lane for each host. What it is not: a judgement.

How to read it: `told`, then `picture` and `_Timeline`, which knows the shapes.
"""

from __future__ import annotations

import re
from html import escape

from holdfast.sim.scenario.stage import Stage

WIDTH, LANE, LEFT, TOP = 1200, 58, 90, 40
LEVELS, LETTER_WIDTH = 3, 5.0
EVERYBODY = "all"
"""The lane of what befalls nobody alone, as the healing of all cuts."""
AWAY = ("killed", "lost power", "paused")
BACK = ("restarted", "power on", "resumed")
COLOURS = (
    ("made", "#1b7f3b"), ("error", "#c1121f"), ("killed", "#c1121f"), ("lost power", "#c1121f"),
    ("cut", "#e07a00"), ("paused", "#7b2cbf"), ("restarted", "#1d6fb8"), ("power on", "#1d6fb8"),
    ("healed", "#5a9e6f"), ("half-open", "#e07a00"), ("reset", "#e07a00"), ("will break", "#e07a00"),
    ("link with", "#b8860b"), ("bytes a second", "#b8860b"),
    ("disk ", "#8d5524"), ("bits flipped", "#8d5524"), ("power will be lost", "#8d5524"),
    ("clock ", "#00838f"), ("got signal", "#7b2cbf"), ("address ", "#1d6fb8"),
)  # fmt: skip
"""Words of events that get a mark, and its colour: every fault of a world and its end are among them."""
BREAK = re.compile(r"the connection that carries byte (\d+) to (\S+) will break")


def told(stage: Stage) -> str:
    """Return what happened, a line an event, and what came of it."""
    lines = [f"{float(when):9.3f} s  {who}: {what}" for when, who, what in events(stage)]
    lines += [f"{when:9.3f} s  {name} warns: {text}" for when, name, text in stage.nodes.warnings]
    lines.sort(key=lambda line: float(line.split(" s ", 1)[0]))
    history = stage.history
    acknowledged = len(history.acknowledged("write", "pair", "set", "incr"))
    lines.append("")
    lines.append(
        f"{len(history.operations)} requests, {acknowledged} acknowledged writes, "
        f"{len(history.promotions)} promotions, {stage.checks.losses_allowed} of them with open loss"
    )
    lines += [f"BROKEN: {each}" for each in stage.checks.violations] or ["No judge objects."]
    return "\n".join(lines) + "\n"


def events(stage: Stage) -> list[tuple[str, str, str]]:
    """Return the event log, split: seconds, host, what happened."""
    split = []
    for line in stage.world.log:
        when, who, what = line.split(" ", 2)
        split.append((when, who, what))
    return split


def picture(stage: Stage) -> str:
    """Return a timeline as SVG: a lane a host with faults and promotions, acknowledged writes as ticks."""
    hosts = [name for name in stage.world.hosts if not name.startswith("c") or name in stage.nodes.settings]
    drawn = _Timeline([*hosts, EVERYBODY], max(stage.world.now, 1.0))
    for each in stage.history.acknowledged("write", "pair", "set", "incr"):
        drawn.tick(each.node, each.ended)
    marks: dict[tuple[str, float], list[str]] = {}
    away: dict[str, float] = {}
    for moment, who, what in events(stage):
        when = float(moment)
        if who in hosts and what.startswith(AWAY):
            away.setdefault(who, when)
        elif what.startswith(BACK) and who in away:
            drawn.gap(who, away.pop(who), when)
        if any(word in what for word, _ in COLOURS):
            lane = who if who in hosts else EVERYBODY
            is_own = lane == who or who == "driver"
            marks.setdefault((lane, when), []).append(what if is_own else f"{who} {what}")
    for who, when in away.items():
        drawn.gap(who, when, drawn.end)
    for (who, when), what_all in marks.items():
        drawn.mark(who, when, what_all)
    verdict = "; ".join(stage.checks.violations) or "no judge objects"
    return drawn.finished(verdict)


class _Timeline:
    """An SVG in the making. Labels of one lane stand on levels, so that none lies over another."""

    def __init__(self, lanes: list[str], end: float) -> None:
        self.end = end
        self._rows = {name: number for number, name in enumerate(lanes)}
        self._height = TOP + LANE * len(lanes) + 30
        self._free_from = {name: [0.0] * LEVELS for name in lanes}
        self._gaps: list[str] = []
        self._parts: list[str] = []
        for name, row in self._rows.items():
            y = TOP + LANE * row + LANE - 14
            self._parts.append(f'<text x="8" y="{y + 4}" font-size="13">{escape(name)}</text>')
            self._parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y}" y2="{y}" stroke="#bbb"/>')

    def _across(self, moment: float) -> float:
        return LEFT + moment / self.end * (WIDTH - LEFT - 20)

    def _down(self, name: str) -> int:
        return TOP + LANE * self._rows[name] + LANE - 14

    def tick(self, name: str, when: float) -> None:
        """Draw an acknowledged write."""
        if name in self._rows:
            x, y = self._across(when), self._down(name)
            self._parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + 7}" stroke="#1d6fb8" opacity="0.4"/>'
            )

    def gap(self, name: str, since: float, until: float) -> None:
        """Draw that a host does not run."""
        x, y, width = self._across(since), self._down(name), self._across(until) - self._across(since)
        self._gaps.append(
            f'<rect x="{x:.1f}" y="{y - 5}" width="{max(width, 1):.1f}" height="10" fill="#c1121f" '
            f'opacity="0.18"><title>{escape(name)} is away {since:.3f} to {until:.3f} s</title></rect>'
        )

    def mark(self, name: str, when: float, what_all: list[str]) -> None:
        """Draw what befalls a host at one moment, with a label where there is room for one."""
        x, y = self._across(when), self._down(name)
        colour = next(colour for word, colour in COLOURS if any(word in what for what in what_all))
        title = escape(f"{when:.3f} s {name}: {', '.join(what_all)}")
        self._parts.append(
            f'<circle cx="{x:.1f}" cy="{y}" r="4" fill="{colour}"><title>{title}</title></circle>'
        )
        label = ", ".join(_shortened(what_all))
        width = len(label) * LETTER_WIDTH
        at = min(x - 4, WIDTH - 20 - width)
        free_from = self._free_from[name]
        level = next((level for level in range(LEVELS) if free_from[level] <= at), None)
        if level is not None:
            free_from[level] = at + width + 8
            self._parts.append(
                f'<text x="{at:.1f}" y="{y - 9 - level * 11}" fill="{colour}" font-size="9">'
                f"{escape(label)}</text>"
            )

    def finished(self, verdict: str) -> str:
        """Return the picture with its scale and its key."""
        scale = []
        step = max(5, int(self.end / 20 / 5) * 5)
        for second in range(0, int(self.end) + 1, step):
            x, low = self._across(second), self._height - 22
            scale.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{low}" stroke="#eee"/>')
            scale.append(
                f'<text x="{x:.1f}" y="{self._height - 8}" fill="#777" text-anchor="middle">{second} s</text>'
            )
        key = "ticks below a line: acknowledged writes; red bands: the process does not run"
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self._height}">',
                '<g font-family="sans-serif" font-size="11">',
                '<rect width="100%" height="100%" fill="white"/>',
                f'<text x="8" y="18" font-size="13">{escape(verdict[:150])}</text>',
                f'<text x="8" y="34" fill="#777">{key}; marks tell more under the pointer</text>',
                *scale,
                *self._gaps,
                *self._parts,
                "</g></svg>\n",
            ]
        )


def _shortened(what_all: list[str]) -> list[str]:
    """Return what a label says of one moment: of a power loss not the restart as well, and each verb once."""
    if "power on" in what_all:
        what_all = [what for what in what_all if what != "restarted"]
    short: list[str] = []
    for what in what_all:
        words = what.replace("made the primary of", "leads in")
        words = BREAK.sub(r"breaks at byte \1 to \2", words)
        verb, _, rest = words.partition(" ")
        is_same = bool(short) and short[0].startswith(f"{verb} ") and bool(rest)
        short.append(
            rest.removeprefix("from ").removeprefix("with ") if is_same else f"{verb} {rest}".strip()
        )
    return short
