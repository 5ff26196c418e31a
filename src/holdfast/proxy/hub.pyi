"""Subscriptions: one connection to each server, for the clients of all."""

from collections.abc import Sequence

from holdfast.proxy.shapes import Client, Exchange, Target

class Hub:
    """What clients listen to, heard once."""

    def __init__(self, exchange: Exchange) -> None: ...
    def hears(self, client: Client, words: Sequence[bytes]) -> bool | bytes:
        """Whether all that a subscription names is heard; else it will be, and the client goes on then.

        An error where a server refused it.
        """
    def settle(self, words: Sequence[bytes]) -> None:
        """A subscription began or ended: stop hearing what nobody listens to."""
    def sweep(self) -> None:
        """Stop hearing what nobody listens to (a client left)."""
    def astray(self, wait_s: float = ...) -> None:
        """Something may be heard at the wrong place: look, in a while."""
    def follow(self, target: Target) -> None:
        """The servers of a target changed: listen where the channels are now."""
    def close(self) -> None:
        """Close every connection."""
