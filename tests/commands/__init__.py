"""Tests of the commands: what conformance cannot see, above all what replicas and files are told."""
