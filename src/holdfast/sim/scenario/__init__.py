"""Scenarios: what happens to a deployment, in readable text, a step a line.

    start a with min-replicas-to-ack 1
    start b from a with min-replicas-to-ack 1
    wait until a has 1 members within 5 s
    cut a from b
    write k = 1 at a
    expect the answer begins with NOACK

What this is: a small vocabulary, its parser, and a runner that prints one line a node
after each step, so that a change of behaviour shows as a difference of text. What it is
not: a programming language; there are no variables, branches or loops.

How to read it: `form` (how a line is matched), `vocabulary` (every step) and `conditions`
(everything that can be waited for), `stage` (what steps act on), `runner`.
"""

from holdfast.sim.scenario.form import ScenarioError
from holdfast.sim.scenario.runner import parse, perform, run_text
from holdfast.sim.scenario.stage import Broken, Unmet

__all__ = ["Broken", "ScenarioError", "Unmet", "parse", "perform", "run_text"]
