"""The benchmark: Holdfast beside redis-server, in one run. See `bench/__main__.py`."""
