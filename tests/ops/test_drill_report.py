"""What a drill makes of what it saw: phases, the longest pause, and the page, looked at in a browser."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib.image
import numpy
import pytest

from holdfast.ops.drill.advice import advice
from holdfast.ops.drill.page import LEFT, RIGHT, WIDTH, page
from holdfast.ops.drill.phases import from_events, from_looks, longest_gap
from holdfast.ops.drill.report import BIN_MS, Report, Strip, in_words
from holdfast.ops.happenings import Happening, Repeated
from holdfast.ops.happenings import in_words as event_in_words
from holdfast.ops.leadership import ClusterNode, cluster_nodes
from holdfast.ops.shard_changes import changes
from tests.peers import require_peer

GAP_COLOUR, BAR_COLOUR, FAULT_COLOUR = (0xF3, 0xC9, 0xC5), (0x5A, 0xA9, 0xBF), (0xB3, 0x26, 0x1E)


def report(outage_ms: float = 400.0, lost: int = 0) -> Report:
    """Make a report whose picture is known: writes all along, but for the outage."""
    began, ended = -1000.0, 2400.0
    places = range(int((ended - began) / BIN_MS))
    bins = tuple(0 if 0 <= began + number * BIN_MS < outage_ms else 4 for number in places)
    strips = tuple(Strip(f"run-{number}", bins, 0.0, outage_ms, True) for number in range(3))
    return Report(
        fault="kill", what="node-1 was killed", fault_at=1.0, deployment="3 data nodes <ours>",
        settings=(("quorum", "2"),), phases=(("seen", 40.0), ("agreed", 60.0), ("promoted", 300.0),
        ("first write", outage_ms)), outage_ms=outage_ms, outage_is_over=True, usual_gap_ms=3.0,
        calm_gap_ms=40.0,
        acknowledged=1234, refused=1, unknown=2, lost=lost, lost_keys=(), reads=100, stale_reads=0,
        errors=(("Connection reset", 3),), began_ms=began, ended_ms=ended, strips=strips,
        happenings=((40.0, "sentinel-1", "node-1 does not answer"),),
    )  # fmt: skip


def test_phases_are_those_of_the_primary_and_of_the_first_who_says_so() -> None:
    said = [
        Happening(9.0, "s1", "", "+sdown", "master m 1.1.1.1 1"),
        Happening(10.5, "s1", "", "+sdown", "slave 1.1.1.2:2 1.1.1.2 2 @ m 1.1.1.1 1"),
        Happening(11.0, "s2", "", "+sdown", "master m 1.1.1.1 1"),
        Happening(11.1, "s1", "", "+sdown", "master m 1.1.1.1 1"),
        Happening(11.2, "s2", "", "+odown", "master m 1.1.1.1 1 #quorum 2/2"),
        Happening(11.3, "s2", "", "+elected-leader", "master m 1.1.1.1 1"),
        Happening(11.5, "s2", "", "+promoted-slave", "slave 1.1.1.2:2 1.1.1.2 2 @ m 1.1.1.1 1"),
        Happening(11.6, "s1", "", "+switch-master", "m 1.1.1.1 1 1.1.1.2 2"),
    ]
    found = {name: round(at) for name, at in from_events(said, 10.0).items()}
    assert found == {"seen": 1000, "agreed": 1200, "leader": 1300, "promoted": 1500}


def test_phases_of_a_cluster_are_what_its_nodes_see_of_the_old_primary() -> None:
    old, other = "1.1.1.1:1", "1.1.1.9:9"
    said = [
        Happening(9.0, "b", "", "+fail", old),
        Happening(10.1, "b", "", "+fail", other),
        Happening(10.2, "c", "", "+pfail", old),
        Happening(10.3, "b", "", "+fail", old),
        Happening(10.4, "d", "", "+leads", old),
        Happening(10.5, "b", "", "+leads", old),
        Happening(10.5, "b", "", "+leads", old),
        Happening(10.6, "c", "", "+leads", old),
        Happening(10.7, "c", "", "+fail", old),
    ]
    found = {name: round(at) for name, at in from_looks(said, 10.0, old, members=4).items()}
    assert found == {"seen": 200, "agreed": 300, "leader": 400, "promoted": 600}


def test_restarting_the_replicas_first_is_no_phase_of_a_handover() -> None:
    said = [
        Happening(10.4, "d", "", "+leads", "1.1.1.1:1"),
        Happening(10.9, "d", "", "+fail", "1.1.1.1:1"),
    ]
    assert set(from_looks(said, 10.0, "1.1.1.1:1", members=3)) == {"leader"}


def cluster_map(first: str, second: str) -> list[ClusterNode]:
    """Make a node's map of two members, from what stands behind their addresses."""
    others = "cc 1.1.1.3:3@13 master - 0 0 2 connected 100\ndd :0@0 master,fail,noaddr - 0 0 3 disconnected"
    return cluster_nodes(f"aa 1.1.1.1:1@11 {first}\nbb 1.1.1.2:2@12 {second}\n{others}")


def test_a_change_of_leader_is_read_off_the_maps_of_a_cluster() -> None:
    names = {"1.1.1.1:1": "node-1", "1.1.1.2:2": "node-2"}
    looks = [
        cluster_map("master - 0 0 1 connected 0-9", "slave aa 0 0 1 connected"),
        cluster_map("master,fail? - 0 0 1 connected 0-9", "slave aa 0 0 1 connected"),
        cluster_map("master,fail - 0 0 1 connected 0-9", "slave aa 0 0 1 connected"),
        cluster_map("master,fail - 0 0 1 connected", "master - 0 0 4 connected 0-9"),
        cluster_map("slave bb 0 0 1 connected", "master - 0 0 4 connected 0-9"),
    ]
    found = [each for pair in itertools.pairwise(looks) for each in changes(*pair, names)]
    assert [each.text for each in found] == [
        "node-1 does not answer",
        "node-1 is down, a majority agrees",
        "node-2 leads now, in the place of node-1",
        "node-1 answers again",
        "node-1 is a replica of node-2 now",
    ]
    assert found[2].about == "1.1.1.1:1"
    assert changes(looks[0], looks[0], names) == []


def test_slots_that_move_between_primaries_are_no_change_of_leader() -> None:
    before = cluster_map("master - 0 0 1 connected 0-9", "master - 0 0 4 connected")
    after = cluster_map("master - 0 0 1 connected 1-9", "master - 0 0 4 connected 0")
    assert changes(before, after, {}) == []


def test_the_outage_is_the_longest_pause_that_ends_after_the_fault() -> None:
    times = [0.0, 3.0, 3.1, 3.2, 3.9, 4.0]
    gap = longest_gap(times, fault=3.15, end=4.1)
    assert (gap.began, gap.ended, gap.is_over) == (3.2, 3.9, True)
    silent = longest_gap(times, fault=3.95, end=60.0)
    assert not silent.is_over and silent.ms == pytest.approx(56_000)


def test_events_are_sentences_with_the_names_that_people_know() -> None:
    names = {"1.1.1.1:1": "node-1", "1.1.1.2:2": "node-2"}
    switch = event_in_words("+switch-master", "m 1.1.1.1 1 1.1.1.2 2", names)
    assert switch == "node-2 leads now, in the place of node-1"
    down = event_in_words("+odown", "master m 1.1.1.1 1 #quorum 2/2", names)
    assert down == "node-1 is down, a quorum agrees"
    stranger = event_in_words("+vote-for-leader", "0123456789abcdef 7", names)
    assert stranger == "votes for Sentinel 01234567 in epoch 7"
    known = event_in_words("+vote-for-leader", "ab 7", {"ab": "sentinel-2"})
    assert known == "votes for sentinel-2 in epoch 7"
    assert event_in_words("+slave", "slave x 1.1.1.2 2 @ m 1.1.1.1 1", names) == ""
    assert event_in_words("+slave", "slave x 1.1.1.9 9 @ m 1.1.1.1 1", names) == "a new replica: 1.1.1.9:9"
    assert event_in_words("+slave-reconf-inprog", "slave x", names) == ""


def test_what_three_sentinels_say_alike_is_one_line_but_each_vote_is_told() -> None:
    repeated = Repeated()
    told = [
        repeated.is_news(Happening(at, source, text, event))
        for at, source, text, event in (
            (11.0, "sentinel-1", "node-1 does not answer", "+sdown"),
            (11.1, "sentinel-2", "node-1 does not answer", "+sdown"),
            (11.2, "sentinel-1", "votes for sentinel-1 in epoch 2", "+vote-for-leader"),
            (11.2, "sentinel-2", "votes for sentinel-1 in epoch 2", "+vote-for-leader"),
            (19.0, "sentinel-2", "node-1 does not answer", "+sdown"),
        )
    ]
    assert told == [True, False, True, True, True]


def test_a_drill_tells_which_setting_decided_and_what_another_value_would_have_saved() -> None:
    sentinel = {"down-after-milliseconds": "5000", "min-replicas-to-ack": "0"}
    hung = advice({"seen": 5050.0}, sentinel, 5400.0, 130.4, 800.0, 0)
    assert "5,050 of the 5,400 ms went by in silence" in hung[0]
    assert hung[0].endswith("1400 here, which would save 3,600 ms.")
    assert "luck and no promise" in hung[1] and "0.8 writes for each ms" in hung[1]
    busy = advice({"seen": 5050.0}, sentinel, 5400.0, 600.0, 800.0, 0)
    assert busy[0].endswith("6000 here, so it should not be less.")
    crashed = advice({"seen": 30.0}, sentinel, 160.0, 9.0, 800.0, 12)
    assert "played no part" in crashed[0] and "12 were lost" in crashed[1]
    kept = advice({"seen": 30.0}, {"min-replicas-to-ack": "1"}, 160.0, 9.0, 800.0, 0)
    assert len(kept) == 1 and "survives this fault" in kept[0]
    stock = advice({"seen": 30.0}, {}, 160.0, 9.0, 800.0, 3)
    assert len(stock) == 1 and "min-replicas-to-ack" not in stock[0]
    assert advice({"leader": 30.0, "promoted": 40.0}, sentinel, 60.0, 9.0, 800.0, 0) == []


def test_the_report_says_the_same_in_words_in_json_and_as_well_formed_svg() -> None:
    made = report(lost=7)
    assert "lost 7" in in_words(made) and not made.is_good
    told = json.loads(json.dumps(made.as_json()))
    assert told["lost"] == 7 and told["phases"]["promoted"] == 300.0
    html = page(made, "Holdfast")
    assert "7 acknowledged writes lost" in html and "3 data nodes &lt;ours&gt;" in html
    assert not re.search(r"(?:src|href)=|url\(|@import", html)  # nothing from elsewhere
    drawing = html[html.index("<svg") : html.index("</svg>") + 6]
    root = ElementTree.fromstring(drawing)
    gaps = [each for each in root.iter() if each.get("class") == "gap"]
    assert len(gaps) == 3


def test_the_page_in_a_browser_shows_the_outage_where_and_as_long_as_it_was(tmp_path: Path) -> None:
    chromium = require_peer("chromium")
    shots = {}
    for outage_ms in (400.0, 1600.0):
        html, png = tmp_path / f"{outage_ms}.html", tmp_path / f"{outage_ms}.png"
        html.write_text(page(report(outage_ms), "Holdfast"))
        flags = (
            "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
            "--disable-background-networking --disable-component-update --hide-scrollbars"
        )
        subprocess.run(
            [chromium, *flags.split(), f"--user-data-dir={tmp_path}/profile", "--window-size=1100,1300",
             f"--screenshot={png}", html.as_uri()],
            capture_output=True, timeout=60, check=True,
        )  # fmt: skip
        shots[outage_ms] = (matplotlib.image.imread(png)[:, :, :3] * 255).round().astype(int)
    for outage_ms, picture in shots.items():
        red, bars, fault = (near(picture, each) for each in (GAP_COLOUR, BAR_COLOUR, FAULT_COLOUR))
        lane = red.sum(axis=1).argmax()  # a row through a writer's pause
        columns = numpy.flatnonzero(red[lane - 2 : lane + 3].any(axis=0))
        middle = slice(columns[0] + 4, columns[-1] - 4)
        band = slice(numpy.flatnonzero(red.any(axis=1))[0], numpy.flatnonzero(red.any(axis=1))[-1])
        assert not bars[band, middle].any(), "no write is drawn inside of the outage"
        assert bars[band, : columns[0]].any() and bars[band, columns[-1] :].any()
        line = numpy.flatnonzero(fault[band].sum(axis=0) > (band.stop - band.start) * 0.7)
        assert abs(line[0] - columns[0]) <= 3, "the outage begins at the line of the fault"
        shown_ms = 600.0 + outage_ms + 1200.0 if outage_ms < 1200 else 600.0 + 2400.0
        drawn_px = picture.shape[1] - 2 * 24
        expected = outage_ms / min(shown_ms, 3000.0) * (WIDTH - LEFT - RIGHT) / WIDTH * drawn_px
        assert columns[-1] - columns[0] == pytest.approx(expected, rel=0.05)


def near(picture: numpy.ndarray, colour: tuple[int, int, int]) -> numpy.ndarray:
    """Return where a picture has a colour, more or less."""
    close: numpy.ndarray = (abs(picture - numpy.array(colour)) < 6).all(axis=2)
    return close
