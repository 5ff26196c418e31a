"""The flags of a node, as they stand on the bus and in nodes.conf.

Plain integers: gossip compares them some hundred thousand times a second in a large
cluster. `names` is how CLUSTER NODES and nodes.conf write them, `parse` reads that.
"""

from __future__ import annotations

from typing import Final

PRIMARY: Final = 1
REPLICA: Final = 2
PFAIL: Final = 4
"""Silent for longer than the node timeout, or its port refuses: this node's own suspicion."""
FAIL: Final = 8
"""A majority of the primaries agrees that it is down."""
MYSELF: Final = 16
HANDSHAKE: Final = 32
"""Its id is a made-up one: it has not yet answered."""
NO_ADDRESS: Final = 64
MEET: Final = 128
"""The next thing to send to it is a MEET."""
MIGRATE_TO: Final = 256
"""A primary that has, or had, replicas: it may be given one."""
NO_FAILOVER: Final = 512
"""A replica that does not want to lead."""

ON_BUS: Final = 0xFFFF
_WORDS: Final = (
    (MYSELF, "myself"),
    (PRIMARY, "master"),
    (REPLICA, "slave"),
    (PFAIL, "fail?"),
    (FAIL, "fail"),
    (HANDSHAKE, "handshake"),
    (NO_ADDRESS, "noaddr"),
    (NO_FAILOVER, "nofailover"),
)
_BY_WORD: Final = {word: flag for flag, word in _WORDS} | {"noflags": 0}


def names(flags: int) -> str:
    """Return the flags as nodes.conf writes them."""
    return ",".join(word for flag, word in _WORDS if flags & flag) or "noflags"


def parse(text: str) -> int:
    """Return the flags that a line names. Raises `ValueError` for an unknown one."""
    found = 0
    for word in text.split(","):
        if word not in _BY_WORD:
            raise ValueError(f"unknown flag {word!r}")
        found |= _BY_WORD[word]
    return found
