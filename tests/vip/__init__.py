"""Tests of the virtual IP."""
