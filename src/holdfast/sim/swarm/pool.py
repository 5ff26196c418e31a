"""Many seeds on many processes.

What this is: seeds handed to workers, outcomes in the order in which they end. What it is
not: a progress bar (`holdfast.cli.sim`).

How to read it: `run_many`; with one job everything runs here.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections.abc import Iterable, Iterator
from functools import partial

from holdfast.sim.swarm.run import Outcome, run_seed

SEEDS_A_WORKER = 200
"""A worker is replaced after so many, so that a leak in one of them stays small."""


def run_many(
    seeds: Iterable[int], jobs: int = 1, mutation: str = "", kind: str = "replication"
) -> Iterator[Outcome]:
    """Yield the outcome of each seed."""
    run = partial(run_seed, mutation=mutation, kind=kind)
    if jobs <= 1:
        _keep_what_is_imported()
        yield from map(run, seeds)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, _begin_work, maxtasksperchild=SEEDS_A_WORKER) as pool:
        yield from pool.imap_unordered(run, seeds)


def _begin_work() -> None:
    """Let who started the workers decide what Ctrl-C means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _keep_what_is_imported()


def _keep_what_is_imported() -> None:
    """Spare the collector what lives as long as the process: half of what it would look at in a run."""
    gc.collect()
    gc.freeze()
