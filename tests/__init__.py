"""Tests of the whole project; `peers` and `wire` are shared by all of them."""
