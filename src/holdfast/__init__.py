"""Holdfast: a fault-tolerant distributed cache that speaks Redis."""

__version__ = "0.1.0"
