"""Holdfast answers every case as Redis does; the recordings are what redis-server answers.

Not here: what is sent (`cases/`), how (`player`), what was answered (`recorded/`).
`CONFORMANCE_TARGET=redis-server` puts redis-server in Holdfast's place: the suite
then proves itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest

from tests.conformance.casefile import CaseGroup, families, read_cases
from tests.conformance.compare import same
from tests.conformance.player import Player
from tests.conformance.recording import (
    UNEXPLAINED,
    Overlay,
    Recorded,
    Recording,
    escaped,
    joined,
    read_overlay,
    read_recording,
)
from tests.peers import require_peer, start_holdfast, start_redis_server

TARGET = os.environ.get("CONFORMANCE_TARGET", "holdfast")
GROUPS = [group for family in families() for group in read_cases(family)]
LONGEST_REPORT = 30


@pytest.fixture(scope="module")
def target() -> Iterator[Player]:
    player = Player(start_holdfast if TARGET == "holdfast" else partial(start_redis_server, binary=TARGET))
    yield player
    player.close()


@pytest.fixture(scope="module")
def oracle() -> Iterator[Player]:
    player = Player(partial(start_redis_server, binary=require_peer("redis-server")))
    yield player
    player.close()


@pytest.fixture(scope="module")
def recordings() -> dict[str, Recording]:
    return {family: read_recording(family) for family in families()}


@pytest.fixture(scope="module")
def overlay() -> Overlay:
    return read_overlay()


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.key)
def test_replies_are_those_of_redis(
    group: CaseGroup, target: Player, recordings: dict[str, Recording], overlay: Overlay
) -> None:
    expected = recordings[group.family][group.name]
    newer = overlay if TARGET == "holdfast" or "redis" not in TARGET else Overlay()
    wanted = [
        newer[group.key, number].recorded if (group.key, number) in newer else recorded
        for number, recorded in enumerate(expected, 1)
    ]
    _compare(group, wanted, joined(group, target.play(group, 2), target.play(group, 3)))


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.key)
def test_recording_is_what_the_live_server_answers(
    group: CaseGroup, oracle: Player, recordings: dict[str, Recording]
) -> None:
    expected = recordings[group.family][group.name]
    _compare(group, expected, joined(group, oracle.play(group, 2), oracle.play(group, 3)))


@pytest.mark.parametrize("family", families())
def test_recording_is_of_these_cases(family: str, recordings: dict[str, Recording]) -> None:
    recording = recordings[family]
    groups = {group.name: [step.title for step in group.steps] for group in read_cases(family)}
    assert {name: [step.title for step in steps] for name, steps in recording.items()} == groups, (
        "cases changed: run python -m tests.conformance.record"
    )


def test_every_step_of_the_overlay_has_a_reason_and_a_case(overlay: Overlay) -> None:
    titles = {
        (group.key, number): step.title for group in GROUPS for number, step in enumerate(group.steps, 1)
    }
    for place, difference in overlay.items():
        assert difference.reason not in ("", UNEXPLAINED), f"no reason for {place}"
        assert titles.get(place) == difference.recorded.title, f"{place} is another step now"


def _compare(group: CaseGroup, expected: list[Recorded], got: list[Recorded]) -> None:
    wrong: list[str] = []
    for number, (want, have) in enumerate(zip(expected, got, strict=False)):
        directives = group.steps[number].directives if number < len(group.steps) else {}
        for protocol in (2, 3):
            if not same(want.reply(protocol), have.reply(protocol), directives):
                wrong.append(
                    f"RESP{protocol} {number + 1}> {want.title}\n"
                    f"    wanted {escaped(want.reply(protocol))}\n"
                    f"    got    {escaped(have.reply(protocol))}"
                )
    for extra in got[len(expected) :]:
        wrong.append(f"{extra.title}: {escaped(extra.resp2)} / {escaped(extra.resp3)}")
    if wrong:
        more = [f"... and {len(wrong) - LONGEST_REPORT} more"] if len(wrong) > LONGEST_REPORT else []
        pytest.fail(
            f"{group.key}: {len(wrong)} of {2 * len(expected)} replies differ\n"
            + "\n".join(wrong[:LONGEST_REPORT] + more),
            pytrace=False,
        )
