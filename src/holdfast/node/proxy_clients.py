"""The clients of a proxy: those of a server, with the doors that they came in by.

What it is: `holdfast.server.clients.Clients`, with a pool's password, database and
limit of clients in the place of the server's. What it is not: the data path.
"""

from __future__ import annotations

from typing import Any

from holdfast.engine import sessions
from holdfast.proxy.shapes import Client
from holdfast.server.clients import TOO_MANY, Clients


class ProxyClients(Clients):
    """The connections of one proxy."""

    def connection_opened(self, connection: Any) -> None:
        """Take a new client in, or send it away with a word."""
        client: Client = connection
        door = client.door
        if client.door.client_limit and door.client_connections >= door.client_limit:
            self.rejected += 1
            client.refuse(TOO_MANY)
            return
        super().connection_opened(connection)
        if client.is_closed:
            return
        door.client_connections += 1
        client.database = door.database
        if door.password is not None:
            client.session.guard |= sessions.NOT_AUTHENTICATED
        if door.facts is not None and not door.facts.tcpkeepalive:
            return

    def connection_closed(self, connection: Any, why: BaseException | None) -> None:
        """Forget a client that went or was sent away."""
        if connection.session.id in self.connections:
            connection.door.client_connections -= 1
        listened = connection.session.flags & sessions.PUBSUB
        super().connection_closed(connection, why)
        hub = connection.session.engine.node.hub
        if listened and hub is not None:
            hub.sweep()
