"""What people operate: deployments as values, their processes, what is going on in them, drills.

What it is: the layer between the nodes and the command line. `model` says what a deployment
is, `plan` which processes with which files that makes, `supervisor` runs them; `topology`,
`picture` and `orders` look at and act on any deployment, ours or not; `drill` breaks one on
purpose and tells what that cost. What it is not: the terminal (`holdfast.cli`).
"""
