"""Tests of the cluster: bus, decisions, files, processes."""
