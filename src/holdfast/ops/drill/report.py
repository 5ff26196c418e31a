"""What a drill found, as a value with a JSON form, and in words. Pure.

How to read it: `Report` is everything the page shows; `made_of` puts it together from what the
clients recorded.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from textwrap import wrap

from holdfast.ops.drill.advice import advice
from holdfast.ops.drill.phases import PHASES, Gap, longest_gap
from holdfast.ops.drill.workload import Outcome, Reader, Writer
from holdfast.ops.happenings import Happening

BIN_MS = 20
WIDTH = 90


@dataclass(frozen=True, slots=True)
class Strip:
    """One writer's acknowledgements: how many in each bin, and its longest pause, ms after the fault."""

    name: str
    bins: tuple[int, ...]
    gap_began_ms: float
    gap_ended_ms: float
    gap_is_over: bool


@dataclass(frozen=True, slots=True)
class Report:
    """One drill. Times in milliseconds after the fault, but `fault_at` in seconds since 1970."""

    fault: str
    what: str
    """What was done, to whom."""
    fault_at: float
    deployment: str
    settings: tuple[tuple[str, str], ...]
    phases: tuple[tuple[str, float], ...]
    outage_ms: float
    outage_is_over: bool
    usual_gap_ms: float
    """The median of all pauses: what is normal here."""
    calm_gap_ms: float
    """The longest pause of a writer before the fault."""
    acknowledged: int
    refused: int
    unknown: int
    lost: int
    lost_keys: tuple[str, ...]
    reads: int
    stale_reads: int
    errors: tuple[tuple[str, int], ...]
    began_ms: float
    ended_ms: float
    strips: tuple[Strip, ...]
    happenings: tuple[tuple[float, str, str], ...]

    @property
    def advice(self) -> list[str]:
        """What this says about the settings."""
        seconds = (self.ended_ms - self.began_ms - self.outage_ms) / 1000
        rate = self.acknowledged / seconds if seconds > 0 else 0.0
        found = dict(self.phases), dict(self.settings)
        return advice(*found, self.outage_ms, self.calm_gap_ms, rate, self.lost)

    @property
    def is_good(self) -> bool:
        """Whether nothing that was acknowledged is lost, and clients could go on."""
        return self.lost == 0 and self.outage_is_over

    def as_json(self) -> dict[str, object]:
        """Return it as values that JSON has, without the bins."""
        fields = asdict(self)
        fields["phases"] = {name: round(at, 1) for name, at in self.phases}
        fields["settings"], fields["errors"] = dict(self.settings), dict(self.errors)
        fields["happenings"] = [
            {"ms": round(at, 1), "source": source, "text": text} for at, source, text in self.happenings
        ]
        fields["writers"] = [
            {"name": each.name, "outage_ms": round(each.gap_ended_ms - each.gap_began_ms, 1)}
            for each in self.strips
        ]
        fields["advice"] = self.advice
        del fields["strips"]
        return fields


def made_of(
    fault: str,
    what: str,
    fault_at: float,
    ended_at: float,
    deployment: str,
    settings: Sequence[tuple[str, str]],
    phases: dict[str, float],
    writers: Sequence[Writer],
    readers: Sequence[Reader],
    lost: tuple[int, Sequence[str]],
    errors: Sequence[tuple[str, int]],
    happenings: Sequence[Happening],
) -> Report:
    """Put a report together."""
    began_at = min((each.writes[0].sent for each in writers if each.writes), default=fault_at)
    gaps, strips, pauses, calm_pauses = [], [], [], [0.0]
    for writer in writers:
        times = [each.answered for each in writer.writes if each.outcome is Outcome.OK]
        gap = longest_gap(times, fault_at, ended_at)
        gaps.append(gap)
        pauses += [after - before for before, after in itertools.pairwise(times)]
        calm_pauses += [after - before for before, after in itertools.pairwise(times) if after < fault_at]
        strips.append(_strip(writer.name, times, gap, began_at, fault_at, ended_at))
    worst = max(gaps, key=lambda each: each.ms)
    usual_ms = statistics.median(pauses) * 1000 if pauses else 0.0
    writes = [each for writer in writers for each in writer.writes]
    if worst.is_over and "promoted" in phases:
        first_ms = _first_write_ms(phases, writers, gaps, fault_at)
        # Who acknowledges leads, even if most others have not heard of it.
        phases = {**phases, "promoted": min(phases["promoted"], first_ms), "first write": first_ms}
    return Report(
        fault=fault,
        what=what,
        fault_at=fault_at,
        deployment=deployment,
        settings=tuple(settings),
        phases=tuple((name, phases[name]) for name in PHASES if name in phases),
        outage_ms=round(worst.ms, 1),
        outage_is_over=all(each.is_over for each in gaps),
        usual_gap_ms=round(usual_ms, 2),
        calm_gap_ms=round(max(calm_pauses) * 1000, 1),
        acknowledged=sum(each.outcome is Outcome.OK for each in writes),
        refused=sum(each.outcome is Outcome.REFUSED for each in writes),
        unknown=sum(each.outcome is Outcome.UNKNOWN for each in writes),
        lost=lost[0],
        lost_keys=tuple(lost[1]),
        reads=sum(each.reads for each in readers),
        stale_reads=sum(len(each.stale) for each in readers),
        errors=tuple(errors),
        began_ms=(began_at - fault_at) * 1000,
        ended_ms=(ended_at - fault_at) * 1000,
        strips=tuple(strips),
        happenings=tuple(((each.at - fault_at) * 1000, each.source, each.text) for each in happenings),
    )


def _first_write_ms(
    phases: dict[str, float], writers: Sequence[Writer], gaps: Sequence[Gap], fault_at: float
) -> float:
    """Return when the first write was answered OK by the node that leads now, as far as can be told.

    It ends the pause of those who waited for that node; others, of other shards, went on.
    """
    promoted_at = fault_at + phases["promoted"] / 1000
    elected_at = fault_at + phases.get("leader", phases["promoted"]) / 1000
    waited = [gap.ended for gap in gaps if gap.began <= promoted_at and gap.ended >= elected_at]
    after = [
        each.answered
        for writer in writers
        for each in writer.writes
        if each.outcome is Outcome.OK and each.answered >= promoted_at
    ]
    return (min(waited or after, default=promoted_at) - fault_at) * 1000


def _strip(
    name: str, times: Sequence[float], gap: Gap, began_at: float, fault_at: float, ended_at: float
) -> Strip:
    bins = [0] * (int((ended_at - began_at) * 1000 / BIN_MS) + 1)
    for each in times:
        place = int((each - began_at) * 1000 / BIN_MS)
        if 0 <= place < len(bins):
            bins[place] += 1
    return Strip(name, tuple(bins), (gap.began - fault_at) * 1000, (gap.ended - fault_at) * 1000, gap.is_over)


def in_words(report: Report) -> str:
    """Return the report for a terminal."""
    lines = [f"{report.what}.", ""]
    before = 0.0
    for name, at in report.phases:
        lines.append(f"  {name:<12} {at:8.0f} ms   (+{max(0.0, at - before):.0f})")
        before = at
    if not report.phases:
        lines.append("  no phases of a failover were seen")
    over = "" if report.outage_is_over else " and not over when the drill ended"
    lines += [
        "",
        f"  outage that clients saw   {report.outage_ms:.0f} ms{over}",
        f"  usual pause               {report.usual_gap_ms:.1f} ms",
        f"  acknowledged writes       {report.acknowledged:,}, lost {report.lost:,}",
        f"  refused, unknown          {report.refused:,}, {report.unknown:,}",
        f"  reads                     {report.reads:,}, stale {report.stale_reads:,}",
    ]
    for each in report.advice:
        lines += ["", *wrap(each, WIDTH, initial_indent="  ", subsequent_indent="  ")]
    return "\n".join(lines)
