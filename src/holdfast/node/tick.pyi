"""The pulse of a data node, compiled: the order in which one turn of the event loop is done."""

import asyncio

from holdfast.node.server import ServerNode
from holdfast.server.poller import Poller

class Tick:
    """The ticks of one data node."""

    def __init__(self, node: ServerNode) -> None: ...
    def start(self, loop: asyncio.AbstractEventLoop, poller: Poller) -> None:
        """Begin: ticks end by this loop or this poller."""
    def stop(self) -> None:
        """End the tick that is open, and the timer."""
    def open(self) -> None:
        """Begin a tick: set the time, and see to its end."""
    def over(self) -> None:
        """End the tick, if one is open, unless it is to wait for more writers that share its sync."""
    def deliver_effects(self) -> None:
        """Hand the effects there are to those who take them."""
    def expire_parked(self) -> None:
        """Answer the parked sessions whose time is over."""
