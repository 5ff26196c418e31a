"""Which clients CLIENT KILL means.

`ClientFilter` is made from the arguments and asked once a client; it is pure.
MAXAGE came after 7.2: it would be one more field and one more line in `_take`.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.engine.state import Session
from holdfast.engine.values import CommandError
from holdfast.server.commands.words import Args, integer, syntax_error, text

CLASSES = {
    b"normal": "normal",
    b"slave": "replica",
    b"replica": "replica",
    b"pubsub": "pubsub",
    b"master": "primary",
}


def class_by_name(name: bytes) -> str:
    """Return a client class by the name of it that Redis uses."""
    found = CLASSES.get(name.lower())
    if found is None:
        raise CommandError(f"ERR Unknown client type '{text(name)}'")
    return found


@dataclass
class ClientFilter:
    """What all must hold for a client to be chosen; None: does not matter."""

    address: str | None = None
    local_address: str | None = None
    client_class: str | None = None
    number: int | None = None
    user: bytes | None = None
    spare_self: bool = True

    @staticmethod
    def of_address(address: bytes) -> ClientFilter:
        """Read the old form, which may choose its own caller."""
        return ClientFilter(address=text(address), spare_self=False)

    @staticmethod
    def of_options(options: Args) -> ClientFilter:
        """Read pairs of option and value."""
        wanted = ClientFilter()
        if len(options) < 2:
            raise syntax_error()
        for place in range(0, len(options), 2):
            if place + 1 == len(options):
                raise syntax_error()
            wanted._take(options[place].lower(), options[place + 1])
        return wanted

    def _take(self, option: bytes, value: bytes) -> None:
        if option == b"id":
            self.number = integer(value, "ERR client-id should be greater than 0", low=1)
        elif option == b"type":
            self.client_class = class_by_name(value)
        elif option == b"addr":
            self.address = text(value)
        elif option == b"laddr":
            self.local_address = text(value)
        elif option == b"user":
            if value != b"default":
                raise CommandError(f"ERR No such user '{text(value)}'")
            self.user = value
        elif option == b"skipme" and value.lower() in (b"yes", b"no"):
            self.spare_self = value.lower() == b"yes"
        else:
            raise syntax_error()

    def selects(self, session: Session, client_class: str) -> bool:
        """Whether a client is meant (the caller is not treated apart here)."""
        return (
            self.address in (None, session.address)
            and self.local_address in (None, session.local_address)
            and self.client_class in (None, client_class)
            and self.number in (None, session.id)
            and self.user in (None, session.user)
        )
