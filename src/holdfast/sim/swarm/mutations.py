"""Deliberate faults of the product: each must be seen by the judges."""
MUTATIONS = {}
