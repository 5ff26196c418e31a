"""Whether a seed is one run: each is played twice, in processes of their own with other hash seeds.

What this is: the check that the issue of the simulator asks for, over every kind; the event log with every
connection and delivery, the clients' histories and the disks' contents must be equal. What it is not: for
every day; the suite plays a few seeds in `tests/sim/test_swarm.py`.

    python -m tests.reliability.determinism --seeds 50 [--kind sentinel] [--first 100]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from holdfast.sim.scenario.stage import Stage
from holdfast.sim.swarm.kinds import KINDS
from holdfast.sim.swarm.run import play

ROOT = Path(__file__).parents[2]
HASH_SEEDS = ("1", "4242")


def prints(stage: Stage) -> Iterable[bytes]:
    """Yield everything that a run leaves: its log, what clients were told, what is on the disks."""
    yield stage.world.log_bytes()
    for operation in stage.history.operations:
        yield repr(operation).encode()
    for name in sorted(stage.world.hosts):
        names = stage.world.hosts[name].disk.names
        for path, inode in sorted(names.files.items()):
            yield path.encode()
            yield bytes(inode.content)


def fingerprint(kind: str, seed: int) -> str:
    """Play a seed with every delivery in its log; return the digest of what it leaves."""
    outcome, stage = play(KINDS[kind](seed), trace=True)
    digest = hashlib.sha256(repr(outcome).encode())
    for piece in prints(stage):
        digest.update(piece)
    return f"{kind} {seed} {len(stage.world.log)} lines {digest.hexdigest()}"


def played_apart(kind: str, seed: int, hash_seed: str) -> str:
    """Play a seed in a process of its own."""
    command = [sys.executable, "-m", "tests.reliability.determinism", "--one", kind, str(seed)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    told = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return told.stdout.decode().strip()


def main() -> int:
    """Play all twice; tell of each that differs, and how many are equal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kind", choices=[*KINDS], action="append")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "SEED"), help="play one here, print its digest")
    chosen = parser.parse_args()
    if chosen.one:
        print(fingerprint(chosen.one[0], int(chosen.one[1])))
        return 0
    differ, began = 0, time.monotonic()
    for kind in chosen.kind or KINDS:
        equal = 0
        for seed in range(chosen.first, chosen.first + chosen.seeds):
            told = {played_apart(kind, seed, hash_seed) for hash_seed in HASH_SEEDS}
            equal += len(told) == 1
            if len(told) > 1:
                print(f"{kind} {seed} differs: {sorted(told)}", flush=True)
        differ += chosen.seeds - equal
        print(f"{kind}: {equal} of {chosen.seeds} seeds equal, {time.monotonic() - began:.0f} s", flush=True)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
