"""Reading without the loop's help: one epoll set for all connections of a proxy."""

import asyncio

class Poller:
    """The epoll set of one proxy."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None: ...
    def close(self) -> None:
        """Give the set back."""
    def ready(self) -> None:
        """Read from every connection that has bytes."""
