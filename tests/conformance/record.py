"""Records the replies of the real server: `python -m tests.conformance.record [FAMILY...]`.

Plays the case files on a live redis-server, twice, refuses steps whose reply changes
from run to run (they need a directive), and writes `recorded/*.resp`. With
`--overlay BINARY`, a server of version 7.2, it writes `overlay.resp` instead: every
step that this one answers otherwise. Reasons of known steps are kept; new ones are
marked UNEXPLAINED until someone writes the reason, and a test refuses them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from tests.conformance.casefile import families, read_cases
from tests.conformance.compare import same
from tests.conformance.player import CLOSED, SILENCE, Player
from tests.conformance.recording import (
    UNEXPLAINED,
    Difference,
    Overlay,
    Recorded,
    Recording,
    joined,
    read_overlay,
    read_recording,
    write_overlay,
    write_recording,
)
from tests.peers import start_redis_server


def main(arguments: Sequence[str] | None = None) -> int:
    """Record, tell what is odd on stderr, and return 1 when something was unstable."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.record", description=__doc__)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="case files (default: all)")
    parser.add_argument("--overlay", metavar="BINARY", help="write overlay.resp from this 7.2 server")
    parser.add_argument("--server", metavar="BINARY", help="record from this redis-server")
    options = parser.parse_args(arguments)
    chosen = options.families or families()
    player = Player(partial(start_redis_server, binary=options.overlay or options.server))
    try:
        if options.overlay:
            return _record_overlay(player, chosen)
        return sum(_record_family(player, family) for family in chosen) and 1
    finally:
        player.close()


def _record_family(player: Player, family: str) -> int:
    recording, odd = _played(player, family)
    write_recording(family, player.version(), recording)
    print(f"{family}: {len(recording)} groups, {sum(map(len, recording.values()))} steps")
    return odd


def _record_overlay(player: Player, chosen: Sequence[str]) -> int:
    known = read_overlay()
    overlay: Overlay = {
        place: difference for place, difference in known.items() if place[0].split(" / ")[0] not in chosen
    }
    reasons = {(key, difference.recorded.title): difference.reason for (key, _), difference in known.items()}
    odd = 0
    for family in chosen:
        recording, unstable = _played(player, family)
        odd += unstable
        before = read_recording(family)
        for group in read_cases(family):
            for number, step in enumerate(recording[group.name], 1):
                old = before[group.name][number - 1]
                directives = group.steps[number - 1].directives if number <= len(group.steps) else {}
                step = _of_redis(step)
                if "fixed" in directives:
                    continue
                if same(old.resp2, step.resp2, directives) and same(old.resp3, step.resp3, directives):
                    continue
                reason = reasons.get((group.key, step.title), UNEXPLAINED)
                overlay[group.key, number] = Difference(reason, step)
    write_overlay(dict(sorted(overlay.items())), player.version())
    print(
        f"{len(overlay)} steps differ, {sum(d.reason == UNEXPLAINED for d in overlay.values())} unexplained"
    )
    return odd and 1


def _played(player: Player, family: str) -> tuple[Recording, int]:
    recording: Recording = {}
    odd = 0
    for group in read_cases(family):
        first = joined(group, player.play(group, 2), player.play(group, 3))
        second = joined(group, player.play(group, 2), player.play(group, 3))
        recording[group.name] = first
        for number, (step, again) in enumerate(zip(first, second, strict=False)):
            directives = group.steps[number].directives if number < len(group.steps) else {}
            odd += _complain(group.key, step, again, directives)
    return recording, odd


def _of_redis(step: Recorded) -> Recorded:
    """Leave out the two INFO fields by which Valkey 7.2 differs from Redis 7.2."""
    cut = b" server_name valkey_version"
    return Recorded(step.title, step.resp2.replace(cut, b""), step.resp3.replace(cut, b""))


def _complain(key: str, step: Recorded, again: Recorded, directives: dict[str, str]) -> int:
    trouble = ""
    if not (same(step.resp2, again.resp2, directives) and same(step.resp3, again.resp3, directives)):
        one, two = (step.resp3, again.resp3) if step.resp2 == again.resp2 else (step.resp2, again.resp2)
        trouble = f"changes from run to run: {one!r:.300} {two!r:.300}"
    elif SILENCE in step.resp2 + step.resp3:
        trouble = "got no reply"
    elif step.title == "(end)":
        trouble = f"replies that nobody read: {step.resp2!r:.200} {step.resp3!r:.200}"
    elif CLOSED in step.resp2 and "closes" not in directives:
        trouble = f"closed unexpectedly: {step.resp2!r:.200}"
    if trouble:
        print(f"{key}: > {step.title}: {trouble}", file=sys.stderr)
    return bool(trouble)


if __name__ == "__main__":
    sys.exit(main())
