"""Whole deployments in one Python process: virtual time, one seed is one run.

What this is: an asyncio event loop, a network, disks, clocks and processes that
exist in memory only, so that unchanged nodes and unchanged asyncio clients run on
them, fail on them and can be run again exactly. What it is not: a mock (nothing
is patched), nor a test of the operating system; `tests` and `cli` import it,
production never does.

How to read it: `world` is the front door and the vocabulary of faults; `host` is
a machine and the processes on it; `life` is one run of a process; `loop` is time;
`network`, `flow`, `endpoint` and `listener` carry bytes; `disk` keeps them; `clock`
tells each host its own time.
"""

from holdfast.sim.host import SimHost, SimProcess
from holdfast.sim.life import ProcessKilled
from holdfast.sim.loop import NothingLeft, SimLoop
from holdfast.sim.world import World

__all__ = ["NothingLeft", "ProcessKilled", "SimHost", "SimLoop", "SimProcess", "World"]
