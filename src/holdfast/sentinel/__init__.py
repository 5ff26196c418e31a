"""Monitoring, agreement and failover of primaries."""
