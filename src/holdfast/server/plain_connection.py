"""The connection on loops that ask for a protocol's class (asyncio's own, the simulator's).

asyncio tells a buffered protocol by `asyncio.BufferedProtocol`; uvloop by its methods, and there the
bare compiled class is quicker.
"""

from __future__ import annotations

import asyncio

from holdfast.server.connection import Connection


class PlainConnection(Connection, asyncio.BufferedProtocol):
    """A `Connection` that asyncio knows for what it is."""
