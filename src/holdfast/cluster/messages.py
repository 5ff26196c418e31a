"""What goes over the cluster bus, as values: one message, its gossip, its extensions.

What it is: the fields of a message of bus version 1, as Redis 7 sends it. What it is not:
bytes (`codec`), or what to do about it (`machine`).

Every message carries the sender's whole standing in its header; the body depends on the
type. Times in gossip are seconds of the wall clock.
"""

from __future__ import annotations

from typing import Final, NamedTuple

PING: Final = 0
PONG: Final = 1
MEET: Final = 2
FAIL: Final = 3
PUBLISH: Final = 4
AUTH_REQUEST: Final = 5
AUTH_ACK: Final = 6
UPDATE: Final = 7
MFSTART: Final = 8
MODULE: Final = 9
PUBLISHSHARD: Final = 10

TYPE_NAMES: Final = (
    "ping",
    "pong",
    "meet",
    "fail",
    "publish",
    "auth-req",
    "auth-ack",
    "update",
    "mfstart",
    "module",
    "publishshard",
)
"""As CLUSTER INFO names them."""

PAUSED: Final = 1
"""Message flag: the primary holds its writers back for a manual failover."""
FORCE_ACK: Final = 2
"""Message flag of a vote request: vote although the primary works."""
HAS_EXTENSIONS: Final = 4
"""Message flag: the sender knows extensions, and may have added some."""


class Gossip(NamedTuple):
    """What the sender knows of another node."""

    node_id: str
    ping_sent_s: int
    pong_received_s: int
    host: str
    port: int
    bus_port: int
    flags: int
    tls_port: int


class Extensions(NamedTuple):
    """What a ping can carry beyond gossip; "" and None: not there."""

    hostname: str = ""
    human_name: str = ""
    shard_id: str | None = None
    forgotten: tuple[tuple[str, int], ...] = ()
    """Node id, and for how many seconds more it may not come back."""


NO_EXTENSIONS: Final = Extensions()


class Message(NamedTuple):
    """One message. The fields of the header come first, then those of the bodies."""

    type: int
    sender: str
    epoch: int
    """The highest epoch the sender knows."""
    config_epoch: int
    """Of the sender, or of the primary that it follows."""
    offset: int
    slots: int
    """Of the sender, or of the primary that it follows."""
    primary_id: str
    """Whom it follows; "": it is a primary."""
    host: str
    """What it wants to be called; "": as its connection shows."""
    port: int
    tls_port: int
    bus_port: int
    flags: int
    is_ok: bool
    """Whether the cluster serves, as the sender sees it."""
    message_flags: int = 0
    is_ours: bool = False
    """A Holdfast node. Told in bytes of the header that stock nodes neither read nor fill."""
    gossip: tuple[Gossip, ...] = ()
    extensions: Extensions = NO_EXTENSIONS
    about: str = ""
    """FAIL, UPDATE: the node that it is about."""
    about_epoch: int = 0
    about_slots: int = 0
    channel: bytes = b""
    text: bytes = b""

    @property
    def is_ping(self) -> bool:
        """Whether it is a PING, PONG or MEET: one form, three meanings."""
        return self.type <= MEET
