"""Many seeds of the swarm, over hours and over restarts: every outcome is a line in a log.

What this is: the long run behind the counts in `docs/reliability/simulator.md`. It goes on where the log
ends, so it may be stopped at any moment. What it is not: `holdfast sim swarm`, which plays some seeds while
somebody watches.

How to read it: `remaining` says what is left, `main` plays it, `count` reads logs back.

    python -m tests.reliability.swarm_seeds run sentinel 0 20000 --log sentinel.log
    python -m tests.reliability.swarm_seeds count sentinel.log replication.log
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from holdfast.sim.swarm.kinds import KINDS
from holdfast.sim.swarm.pool import run_many

CHUNK = 100


def told(log: Path) -> Iterator[dict[str, object]]:
    """Yield what a log says of each seed; a last line that was torn by a stop is passed over."""
    for line in log.read_text().splitlines() if log.exists() else ():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def remaining(first: int, last: int, kind: str, log: Path) -> list[int]:
    """Return the seeds from `first` to before `last` that the log does not have."""
    done = {each["seed"] for each in told(log) if each["kind"] == kind}
    return [seed for seed in range(first, last) if seed not in done]


def run(kind: str, first: int, last: int, log: Path, jobs: int, mutation: str) -> None:
    """Play what is left; the scenario of a seed is not kept, it follows from the seed."""
    seeds = remaining(first, last, kind, log)
    with log.open("a") as file:
        for at in range(0, len(seeds), CHUNK):
            for outcome in run_many(seeds[at : at + CHUNK], jobs, mutation, kind):
                fields = {name: value for name, value in asdict(outcome).items() if name != "scenario"}
                file.write(json.dumps({"kind": kind} | fields) + "\n")
                file.flush()


def count(logs: list[Path]) -> None:
    """Print what the logs hold, a line a kind, and every failure."""
    lines = [each for log in logs for each in told(log)]
    for kind in KINDS:
        mine = {each["seed"]: each for each in lines if each["kind"] == kind}
        failed = {seed: each["problem"] for seed, each in mine.items() if each["problem"]}
        virtual = sum(float(str(each["virtual_seconds"])) for each in mine.values())
        written = sum(int(str(each["acknowledged"])) for each in mine.values())
        led = sum(int(str(each["promotions"])) for each in mine.values())
        if mine:
            print(f"{kind}: {len(mine)} seeds, {virtual / 3600:.1f} virtual hours, {written} acknowledged")
            print(f"    writes, {led} promotions, {len(failed)} failed")
        for seed, problem in sorted(failed.items()):
            print(f"    seed {seed}: {str(problem).splitlines()[0]}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    actions = parser.add_subparsers(dest="action", required=True)
    runs = actions.add_parser("run", help="play seeds that the log does not have")
    runs.add_argument("kind", choices=[*KINDS])
    runs.add_argument("first", type=int)
    runs.add_argument("last", type=int, help="the seed behind the last")
    runs.add_argument("--log", type=Path, required=True)
    runs.add_argument("--jobs", type=int, default=1)
    runs.add_argument("--mutation", default="")
    counts = actions.add_parser("count", help="say what logs hold")
    counts.add_argument("logs", type=Path, nargs="+")
    chosen = parser.parse_args()
    if chosen.action == "run":
        run(chosen.kind, chosen.first, chosen.last, chosen.log, chosen.jobs, chosen.mutation)
    else:
        count(chosen.logs)


if __name__ == "__main__":
    main()
