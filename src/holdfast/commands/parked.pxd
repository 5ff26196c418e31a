# Parked sessions, for commands written in Python.

from holdfast.engine.state cimport Session
