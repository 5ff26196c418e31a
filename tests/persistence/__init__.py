"""Tests of files on disk: formats, decisions, faults, and exchange with redis-server."""
