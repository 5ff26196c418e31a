"""Tests of `holdfast.commands`."""
