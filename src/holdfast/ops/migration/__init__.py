"""Moving a live data set from one deployment to another, in either direction.

How to read it: `run` is the order of events; `feed` follows what changes, `copying` carries keys
over, `verify` compares.
"""
