"""DEBUG PROTOCOL: one value of each type of RESP, for tests of client libraries."""

from __future__ import annotations

from holdfast.engine.state import Session
from holdfast.engine.values import CommandError, OrderedSet, Pairs, Raw, Verbatim
from holdfast.server.commands.words import Args, text

BIG_NUMBER = b"1234567999999999999999999999999999999"
VALUES: dict[str, object] = {
    "string": b"Hello World",
    "integer": 12345,
    "double": 3.141,
    "null": None,
    "array": [0, 1, 2],
    "set": OrderedSet([0, 1, 2]),
    "map": Pairs([(0, False), (1, True), (2, False)]),
    "true": True,
    "false": False,
    "verbatim": Verbatim("This is a verbatim\nstring"),
}
UNKNOWN = (
    "ERR Wrong protocol type name. Please use one of the following: "
    "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
)


def protocol(session: Session, args: Args) -> object:
    """DEBUG PROTOCOL type."""
    name = text(args[2]).lower()
    if name in VALUES:
        return VALUES[name]
    if name == "bignum":
        return Raw(b"(" + BIG_NUMBER + b"\r\n") if session.resp == 3 else BIG_NUMBER
    if name == "attrib":
        attribute = (
            b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n" if session.resp == 3 else b""
        )
        return Raw(attribute + b"$39\r\nSome real reply following the attribute\r\n")
    if name == "push":
        if session.resp == 2:
            raise CommandError("ERR RESP2 is not supported by this command")
        reply = b"$40\r\nSome real reply following the push reply\r\n"
        return Raw(reply + b">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n")
    raise CommandError(UNKNOWN)
