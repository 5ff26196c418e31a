"""When small values change to their large form.

How to read it: a directive a line; `accepted` says what one means that does not work here.
"""

from __future__ import annotations

from holdfast.server.config.directive import INT_MAX, LONG_MAX, choice, integer, memory, yes_no

_NO_STREAMS = "there are no streams yet"

DIRECTIVES = (
    integer("hash-max-listpack-entries", 512, 0, LONG_MAX, aliases=("hash-max-ziplist-entries",)),
    memory("hash-max-listpack-value", 64, aliases=("hash-max-ziplist-value",)),
    integer("list-max-listpack-size", -2, -INT_MAX - 1, aliases=("list-max-ziplist-size",)),
    integer("list-compress-depth", 0),
    integer("set-max-intset-entries", 512, 0, LONG_MAX),
    integer("set-max-listpack-entries", 128, 0, LONG_MAX),
    integer("set-max-listpack-value", 64, 0, LONG_MAX),
    integer("zset-max-listpack-entries", 128, 0, LONG_MAX, aliases=("zset-max-ziplist-entries",)),
    memory("zset-max-listpack-value", 64, aliases=("zset-max-ziplist-value",)),
    memory("hll-sparse-max-bytes", 3000, accepted="there is no HyperLogLog yet"),
    memory("stream-node-max-bytes", 4096, accepted=_NO_STREAMS),
    integer("stream-node-max-entries", 100, 0, LONG_MAX, accepted=_NO_STREAMS),
    yes_no("activerehashing", True, accepted="tables always grow and shrink in small steps"),
    choice(
        "sanitize-dump-payload",
        "no",
        "no",
        "yes",
        "clients",
        accepted="what RESTORE and snapshots bring in is always checked in full",
    ),
)
