"""The drill: break something on purpose under load, and tell what clients saw.

How to read it: `run` is the order of events; `workload` writes, reads and remembers; `faults`
breaks and heals; `phases`, `report` and `page` are what is made of it, and pure.
"""
