"""The swarm: a seed draws a deployment, its faults and its clients; judges watch.

What this is: a way to meet what nobody thought of. What it is not: the words for faults
(`scenario`): a drawn run is a scenario, and is played by the same runner.

How to read it: `draw` makes the scenario of a seed, `run` plays it, `shrink` takes faults
away while it still fails, `pool` plays many; `workload`, `manager` and `history` are the
actors and their evidence, `checks`, `linearizability`, `files` and `observers` the judges;
`mutations` are deliberate faults of the product that the judges must see; `story` and
`timeline` show a run to people.
"""
