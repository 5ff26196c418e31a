"""Sentinel: decisions in tables, and real processes beside redis-sentinel."""
