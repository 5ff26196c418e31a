"""A run in plain words, and as a picture.

What this is: the event log of a played seed made readable: `told` as text, `picture` as a
timeline in SVG with a lane for each host. What it is not: a judgement.

How to read it: `told`, then `picture` and the shapes it draws.
"""

from __future__ import annotations

from html import escape

from holdfast.sim.scenario.stage import Stage

WIDTH, LANE, LEFT = 1200, 46, 90
COLOURS = (
    ("made", "#1b7f3b"), ("error", "#c1121f"), ("killed", "#c1121f"), ("lost power", "#c1121f"), ("cut", "#e07a00"),
    ("paused", "#7b2cbf"), ("restarted", "#1d6fb8"), ("power on", "#1d6fb8"), ("healed", "#5a9e6f"),
)  # fmt: skip


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
    """Return a timeline as SVG: faults and promotions above, acknowledged writes as ticks."""
    hosts = [name for name in stage.world.hosts if not name.startswith("c") or name in stage.nodes.settings]
    rows = {name: number for number, name in enumerate(hosts)}
    end = max(stage.world.now, 1.0)

    def across(moment: float) -> float:
        return LEFT + moment / end * (WIDTH - LEFT - 20)

    height = LANE * (len(hosts) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
    ]
    for name, row in rows.items():
        y = LANE * row + 30
        parts.append(f'<text x="8" y="{y + 4}" font-size="13">{escape(name)}</text>')
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y}" y2="{y}" stroke="#bbb"/>')
    for each in stage.history.acknowledged("write", "pair", "set", "incr"):
        if each.node in rows:
            x, y = across(each.ended), LANE * rows[each.node] + 30
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + 7}" stroke="#1d6fb8" opacity="0.4"/>'
            )
    for when, who, what in events(stage):
        colour = next((colour for word, colour in COLOURS if word in what), "")
        if who in rows and colour:
            x, y = across(float(when)), LANE * rows[who] + 30
            title = f"{float(when):.3f} s {who}: {what}"
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y}" r="5" fill="{colour}"><title>{escape(title)}</title></circle>'
            )
            short = what if len(what) < 24 else what[:22] + "…"
            parts.append(
                f'<text x="{x:.1f}" y="{y - 7}" fill="{colour}" transform="rotate(-20 {x:.1f} {y - 7})" '
                f'font-size="9">{escape(short)}</text>'
            )
    for second in range(0, int(end) + 1, 5):
        x = across(second)
        parts.append(f'<text x="{x:.1f}" y="{height - 8}" fill="#777">{second} s</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
