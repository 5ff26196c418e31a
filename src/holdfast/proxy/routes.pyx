"""Routes by key prefix: one door, several pools, one for each business module.

What it is: the choice of a pool by the longest prefix of the key. Each pool keeps its
own connections, limits, queue of held requests and errors: what fails in one is not
met in another. What it is not: a pool. Requests over keys of several pools are split
and joined like those over several shards.
"""

from libc.string cimport memcmp
from holdfast.proxy.shapes cimport Target

cdef enum:
    NO_SHARD = -1


cdef class RouteTarget(Target):
    """What a door leads to: the pools of its routes."""

    def __init__(self, str name):
        self.name = name
        self.shards = []
        self.whole = []
        self.prefixes = []
        self.targets = []
        self.begins = []

    def lead_to(self, routes):
        """Take (prefix, target) of each route; an empty prefix takes what no other does."""
        cdef Target target
        begins = {}
        self.shards = []
        self.whole = []
        for _, target in routes:
            if target not in begins:
                begins[target] = len(self.shards)
                self.shards = self.shards + target.shards
                self.whole = self.whole + list(getattr(target, "whole", target.shards))
        ordered = sorted(routes, key=lambda route: -len(route[0]))
        self.prefixes = [prefix for prefix, _ in ordered]
        self.targets = [target for _, target in ordered]
        self.begins = [begins[target] for _, target in ordered]

    cdef int shard_of(self, const char* key, size_t n) noexcept:
        cdef Py_ssize_t i
        cdef bytes prefix
        cdef int ordinal
        for i in range(len(self.prefixes)):
            prefix = <bytes>self.prefixes[i]
            if <size_t>len(prefix) <= n and memcmp(<const char*>prefix, key, len(prefix)) == 0:
                ordinal = (<Target>self.targets[i]).shard_of(key, n)
                return NO_SHARD if ordinal < 0 else <int>self.begins[i] + ordinal
        return NO_SHARD
