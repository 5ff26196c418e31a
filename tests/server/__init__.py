"""Tests of the shell around the engine: configuration, log, process."""
