"""The report as one page that needs nothing else: the timeline drawn, the figures, the events.

What it is: HTML with its style and an SVG inside. Pure. What it is not: the figures (`report`).

How to read it: `page` is the whole; `timeline` draws: time runs to the right, the fault is 0.
Each writer is a lane whose bars are acknowledgements per 20 ms, its longest pause in red; the
phases of the failover are marks above the lanes.
"""

from __future__ import annotations

from html import escape

from holdfast.ops.drill.phases import WORDS
from holdfast.ops.drill.report import BIN_MS, Report, Strip

WIDTH, LEFT, RIGHT, LANE, PHASE_ROW, LABEL = 1040.0, 96.0, 24.0, 34.0, 20.0, 140.0
SHOWN_BEFORE_MS, SHOWN_AFTER_MS = 600.0, 1200.0
TICKS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 60_000)


def page(report: Report, made_by: str) -> str:
    """Return the whole page."""
    verdict = "nothing lost" if not report.lost else f"{report.lost:,} acknowledged writes lost"
    tone = "good" if report.is_good else "bad"
    freshness = "warn" if report.stale_reads else "good"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Drill: {escape(report.fault)} – {escape(verdict)}</title>
<style>{STYLE}</style></head>
<body><main>
<header><p class="kicker">holdfast drill {escape(report.fault)}</p>
<h1>{escape(report.what)}</h1>
<p class="sub">{escape(report.deployment)}</p></header>
<section class="tiles">
{_tile(f"{report.outage_ms:,.0f} ms", "outage that clients saw", "" if report.outage_is_over else "bad")}
{_tile(f"{report.lost:,}", f"lost of {report.acknowledged:,} acknowledged writes", tone)}
{_tile(f"{report.stale_reads:,}", f"stale of {report.reads:,} reads", freshness)}
{_tile(f"{report.unknown:,}", "writes with unknown outcome", "")}
</section>
<section><h2>What happened when</h2>{timeline(report)}
<p class="note">Time in milliseconds after the fault. Each lane is a writer: the bars are
acknowledged writes per {BIN_MS} ms, red is its longest pause. The usual pause between two
acknowledgements was {report.usual_gap_ms:.1f} ms.</p></section>
<section class="columns"><div><h2>Phases</h2>{_phases(report)}</div>
<div><h2>Settings</h2>{_pairs(report.settings)}</div>
<div><h2>Errors that clients saw</h2>{_errors(report)}</div></section>
{_advice(report)}<section><h2>Events</h2>{_events(report)}</section>
<footer>{escape(made_by)}</footer>
</main></body></html>
"""


def timeline(report: Report) -> str:
    """Return the drawing as SVG."""
    scale = _Scale(report)
    phase_rows = len(report.phases)
    top = 14 + PHASE_ROW * phase_rows + 14
    bottom = top + LANE * len(report.strips)
    height = bottom + 30
    box = f"0 0 {WIDTH:.0f} {height:.0f}"
    head = f'<svg id="timeline" viewBox="{box}" role="img" aria-label="Timeline of the drill"'
    parts = [f'{head} xmlns="http://www.w3.org/2000/svg">']
    for tick in scale.ticks():
        x = scale.x(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{top - 8:.1f}" x2="{x:.1f}" y2="{bottom:.1f}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 18:.1f}">{tick:,.0f}</text>')
    for number, strip in enumerate(report.strips):
        parts += _lane(report, strip, scale, top + LANE * number)
    zero = scale.x(0)
    parts.append(f'<line class="fault" x1="{zero:.1f}" y1="6" x2="{zero:.1f}" y2="{bottom:.1f}"/>')
    parts.append(f'<text class="fault-name" x="{zero - 6:.1f}" y="16">fault</text>')
    for number, (name, at) in enumerate(report.phases):
        x, y = scale.x(at), 16 + PHASE_ROW * number
        side = "start" if x < WIDTH - RIGHT - LABEL else "end"
        offset = 8 if side == "start" else -8
        label = f"{escape(name)} {at:,.0f} ms"
        parts.append(
            f'<g class="phase"><line x1="{x:.1f}" y1="{y + 3:.1f}" x2="{x:.1f}" y2="{bottom:.1f}"/>'
            f'<circle cx="{x:.1f}" cy="{y - 4:.1f}" r="3.5"/>'
            f'<text x="{x + offset:.1f}" y="{y:.1f}" text-anchor="{side}">{label}</text></g>'
        )
    parts.append("</svg>")
    return "".join(parts)


class _Scale:
    """From milliseconds to places on the drawing; what is far from the fault is left out."""

    def __init__(self, report: Report) -> None:
        ends = [at for _, at in report.phases] + [each.gap_ended_ms for each in report.strips]
        last = max([*ends, 0.0]) if ends else 0.0
        self.first = max(report.began_ms, -max(SHOWN_BEFORE_MS, last * 0.15))
        self.last = min(report.ended_ms, last + max(SHOWN_AFTER_MS, last * 0.25))

    def x(self, ms: float) -> float:
        """Return where a moment is drawn."""
        within = min(max(ms, self.first), self.last)
        return LEFT + (within - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> list[float]:
        """Return round moments, about ten of them."""
        step = next((each for each in TICKS if (self.last - self.first) / each <= 12), TICKS[-1])
        first = int(self.first // step) + 1
        return [float(each * step) for each in range(first, int(self.last // step) + 1)]


def _lane(report: Report, strip: Strip, scale: _Scale, y: float) -> list[str]:
    base, tall = y + LANE - 6, LANE - 12
    most = max(strip.bins) or 1
    name = f"writer {strip.name.rpartition('-')[2]}"
    parts = [f'<text class="lane" x="{LEFT - 10:.0f}" y="{base - 5:.1f}">{name}</text>']
    began, ended = scale.x(strip.gap_began_ms), scale.x(strip.gap_ended_ms)
    parts.append(
        f'<rect class="gap" x="{began:.1f}" y="{y + 2:.1f}" width="{max(1.0, ended - began):.1f}" '
        f'height="{LANE - 6:.1f}"/>'
    )
    wide = max(0.6, scale.x(scale.first + BIN_MS) - scale.x(scale.first) - 0.4)
    bars = []
    for number, count in enumerate(strip.bins):
        at = report.began_ms + number * BIN_MS
        if not count or at + BIN_MS < scale.first or at > scale.last:
            continue
        high = max(1.5, tall * count / most)
        bars.append(f"M{scale.x(at):.1f} {base:.1f}h{wide:.1f}v-{high:.1f}h-{wide:.1f}z")
    parts.append(f'<path class="acks" d="{"".join(bars)}"/>')
    parts.append(
        f'<line class="base" x1="{LEFT:.0f}" y1="{base:.1f}" x2="{WIDTH - RIGHT:.0f}" y2="{base:.1f}"/>'
    )
    if ended - began > 70:
        parts.append(
            f'<text class="gap-name" x="{(began + ended) / 2:.1f}" y="{base - 7:.1f}">'
            f"{strip.gap_ended_ms - strip.gap_began_ms:,.0f} ms</text>"
        )
    return parts


def _tile(figure: str, words: str, tone: str) -> str:
    return f'<div class="tile {tone}"><b>{escape(figure)}</b><span>{escape(words)}</span></div>'


def _phases(report: Report) -> str:
    if not report.phases:
        return "<p>No failover was needed.</p>"
    rows, before = [], 0.0
    for name, at in report.phases:
        rows.append(
            f"<tr><td>{escape(WORDS[name])}</td><td class='n'>{at:,.0f} ms</td>"
            f"<td class='n dim'>+{max(0.0, at - before):,.0f}</td></tr>"
        )
        before = at
    return f"<table>{''.join(rows)}</table>"


def _pairs(settings: tuple[tuple[str, str], ...]) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td class='n'>{escape(value)}</td></tr>" for name, value in settings
    )
    return f"<table>{rows}</table>"


def _errors(report: Report) -> str:
    if not report.errors:
        return "<p>None.</p>"
    rows = "".join(
        f"<tr><td>{escape(text)}</td><td class='n'>{count:,}</td></tr>" for text, count in report.errors
    )
    return f"<table>{rows}</table>"


def _advice(report: Report) -> str:
    if not report.advice:
        return ""
    items = "".join(f"<li>{escape(each)}</li>" for each in report.advice)
    return f'<section><h2>What decided it</h2><ul class="advice">{items}</ul></section>\n'


def _events(report: Report) -> str:
    rows = "".join(
        f"<tr><td class='n'>{at:,.0f} ms</td><td>{escape(source)}</td><td>{escape(text)}</td></tr>"
        for at, source, text in report.happenings
    )
    return f"<table class='events'>{rows}</table>"


STYLE = """
:root{--bg:#fbfbf9;--ink:#1d2327;--dim:#66707a;--line:#dfe3e6;--card:#fff;--accent:#0f6f8c;--bar:#5aa9bf;
--good:#1d7f4e;--bad:#b3261e;--warn:#8a6100;--gap:#f3c9c5}
@media(prefers-color-scheme:dark){:root{--bg:#14181b;--ink:#e6eaed;--dim:#98a3ad;--line:#2c343a;
--card:#1b2126;--accent:#67c3de;--bar:#3d8da5;--good:#62c48f;--bad:#ff8a80;--warn:#e2b84d;--gap:#5a2a28}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Noto Sans CJK SC",sans-serif}
main{max-width:1100px;margin:0 auto;padding:28px 24px 40px}
.kicker{margin:0;color:var(--accent);font:600 13px ui-monospace,Menlo,Consolas,monospace}
h1{margin:2px 0 4px;font-size:26px;line-height:1.25}h2{margin:28px 0 8px;font-size:16px}
.sub,.note,footer,.dim{color:var(--dim)}.sub{margin:0}.note{font-size:13px;margin:6px 0 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:12px;margin-top:20px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px}
.tile b{display:block;font-size:26px;font-variant-numeric:tabular-nums}
.tile span{color:var(--dim);font-size:13px}
.tile.good b{color:var(--good)}.tile.bad b{color:var(--bad)}.tile.warn b{color:var(--warn)}
svg{width:100%;height:auto;background:var(--card);border:1px solid var(--line);border-radius:8px}
svg text{fill:var(--ink);font-size:12px}.tick,.lane{fill:var(--dim)!important}
.tick{text-anchor:middle}.lane{text-anchor:end}.grid{stroke:var(--line)}.base{stroke:var(--line)}
.acks{fill:var(--bar)}.gap{fill:var(--gap)}.gap-name{text-anchor:middle;fill:var(--bad)!important;font-weight:600}
.fault{stroke:var(--bad);stroke-width:2}.fault-name{text-anchor:end;fill:var(--bad)!important;font-weight:600}
.phase line{stroke:var(--accent);stroke-dasharray:3 3}.phase circle{fill:var(--accent)}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(280px,1fr));gap:0 28px}
table{border-collapse:collapse;width:100%;font-size:14px}
td{padding:4px 8px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.events .n{width:90px;padding-right:18px}
.events td:nth-child(2){width:1%;min-width:110px;padding-right:18px;white-space:nowrap;color:var(--dim)}
.advice{margin:0;padding-left:20px;font-size:14px}.advice li{margin-bottom:6px}
footer{margin-top:32px;font-size:13px}
"""
