# What the keeper of files asks of an engine and its sessions.

from holdfast.engine.state cimport Engine, Session
