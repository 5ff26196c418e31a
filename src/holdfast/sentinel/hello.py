"""The hello message: how Sentinels of one primary find each other and agree on addresses.

What it is: eight fields separated by commas, published to `__sentinel__:hello`. What it
is not: what follows from one (`observation.hello_came`).
"""

from __future__ import annotations

from dataclasses import dataclass

CHANNEL = "__sentinel__:hello"
ASK_ME = "holdfast: ask me"
"""What a node of ours says there when it has something to tell; stock Sentinels pass it over."""
_COUNT_MAX = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Hello:
    """Who speaks, and which primary it believes in."""

    host: str
    port: int
    sentinel_id: str
    epoch: int
    name: str
    primary_host: str
    primary_port: int
    config_epoch: int

    def encode(self) -> str:
        """Return the message."""
        return (
            f"{self.host},{self.port},{self.sentinel_id},{self.epoch},"
            f"{self.name},{self.primary_host},{self.primary_port},{self.config_epoch}"
        )


def parse_hello(text: str) -> Hello | None:
    """Read a message; None: it is none."""
    words = text.split(",")
    if len(words) != 8:
        return None
    try:
        port, epoch, primary_port, config_epoch = (int(words[place]) for place in (1, 3, 6, 7))
    except ValueError:
        return None
    if not (0 < port < 65536 and 0 < primary_port < 65536):
        return None
    if not (0 <= epoch <= _COUNT_MAX and 0 <= config_epoch <= _COUNT_MAX):
        return None
    if not words[0] or not words[2] or not words[5]:
        return None
    return Hello(words[0], port, words[2], epoch, words[4], words[5], primary_port, config_epoch)
