"""What the simulator costs: virtual seconds per second of CPU, of one topology and of drawn seeds.

What this is: the figures of `docs/reliability/simulator.md`, taken in one process, in CPU time. The topology
is a primary, two replicas, three Sentinels and four clients at 10 operations a second, watched by all judges
and without faults. What it is not: a test; a busy machine shows more than an idle one.

    python -m tests.reliability.simulator_speed [--seeds 10] [--seconds 60]
"""

from __future__ import annotations

import argparse
import time

from holdfast.sim.scenario.runner import perform
from holdfast.sim.swarm.kinds import KINDS
from holdfast.sim.swarm.run import run_seed

TOPOLOGY = """\
seed 1
nodes know each other by address
start a with min-replicas-to-ack 1
start b from a with min-replicas-to-ack 1
start c from a with min-replicas-to-ack 1
sentinels 3 with down-after 1 s
at 3 s clients 4 at 10 a second
at {seconds} s mend everything
stop clients
wait until convergence within 45 s
judge
"""


def main() -> None:
    """Play, and print what it cost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=10, help="drawn seeds of each kind")
    parser.add_argument("--first", type=int, default=700)
    chosen = parser.parse_args()
    perform(TOPOLOGY.format(seconds=5))  # everything is imported now
    began = time.process_time()
    stage, problem = perform(TOPOLOGY.format(seconds=chosen.seconds))
    spent = time.process_time() - began
    assert not problem, problem
    virtual, count = stage.world.now, len(stage.history.operations)
    print(f"topology: {count} requests in {virtual:.0f} virtual s: {spent:.2f} s, {virtual / spent:.0f} a s")
    for kind in KINDS if chosen.seeds else ():
        began = time.process_time()
        played = [run_seed(chosen.first + number, kind=kind) for number in range(chosen.seeds)]
        each = (time.process_time() - began) / chosen.seeds
        virtual = sum(outcome.virtual_seconds for outcome in played) / chosen.seeds
        print(f"{kind}: {virtual:.0f} virtual s a seed: {each:.2f} s, {virtual / each:.0f} a second")


if __name__ == "__main__":
    main()
