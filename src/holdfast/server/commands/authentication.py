"""Who a client is and how it speaks: HELLO, AUTH, RESET (https://redis.io/commands/hello/).

The index of the family is `register`. There is one user, `default`; its password
is `requirepass`. POST and Host: end the connection: a browser was made to talk to
us (cross-protocol attacks).
"""

from __future__ import annotations

from holdfast.commands.spec import Spec
from holdfast.engine import sessions
from holdfast.engine.registry import add_function
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import NO_REPLY, OK, CommandError, Pairs, Status
from holdfast.server.commands.words import Args, integer, syntax_error, text
from holdfast.server.info_sections import REDIS_VERSION
from holdfast.server.node import node_of

WRONG_PASSWORD = "WRONGPASS invalid username-password pair or user is disabled."
NO_PASSWORD = (
    "ERR AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?"
)
HELLO_FIRST = (
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
    "<user> <pass> option can be used to authenticate the client and select the RESP protocol version at the "
    "same time"
)
BAD_NAME = "ERR Client names cannot contain spaces, newlines or special characters."


def authenticate(session: Session, user: bytes, password: bytes) -> bool:
    """Let the client in if it knows the password."""
    node = node_of(session)
    if user != b"default" or not node.configuration.default_user.accepts(password):
        node.clients.auth_failures += 1
        return False
    session.user = b"default"
    session.guard &= ~sessions.NOT_AUTHENTICATED
    return True


def is_printable(value: bytes) -> bool:
    """Whether every byte is a visible ASCII character."""
    return all(0x21 <= byte <= 0x7E for byte in value)


def auth(session: Session, args: Args) -> object:
    """AUTH [username] password."""
    if len(args) > 3:
        raise syntax_error()
    if len(args) == 2:
        if node_of(session).configuration.default_user.nopass:
            raise CommandError(NO_PASSWORD)
        user, password = b"default", args[1]
    else:
        user, password = args[1:]
    if not authenticate(session, user, password):
        raise CommandError(WRONG_PASSWORD)
    return OK


def hello(session: Session, args: Args) -> object:
    """HELLO [protocol [AUTH username password] [SETNAME name]]."""
    version = 0
    if len(args) > 1:
        version = integer(args[1], "ERR Protocol version is not an integer or out of range")
        if version not in (2, 3):
            raise CommandError("NOPROTO unsupported protocol version")
    credentials: tuple[bytes, bytes] | None = None
    name: bytes | None = None
    place = 2
    while place < len(args):
        option, more = args[place].lower(), len(args) - 1 - place
        if option == b"auth" and more >= 2:
            credentials = args[place + 1], args[place + 2]
            place += 3
        elif option == b"setname" and more:
            name = args[place + 1]
            if not is_printable(name):
                raise CommandError(BAD_NAME)
            place += 2
        else:
            raise CommandError(f"ERR Syntax error in HELLO option '{text(args[place])}'")
    if credentials is not None and not authenticate(session, *credentials):
        raise CommandError(WRONG_PASSWORD)
    if session.guard & sessions.NOT_AUTHENTICATED:
        raise CommandError(HELLO_FIRST)
    if name is not None:
        session.name = name or None
    if version:
        sessions.set_protocol(session, version)
    node = node_of(session)
    return Pairs(
        [
            (b"server", b"redis"),
            (b"version", REDIS_VERSION),
            (b"proto", session.resp),
            (b"id", session.id),
            (b"mode", "cluster" if node.configuration["cluster-enabled"] else "standalone"),
            (b"role", node.doors.role()),
            (b"modules", []),
        ]
    )


def reset(session: Session, args: Args) -> object:
    """RESET."""
    if session.flags & (sessions.REPLICA | sessions.PRIMARY):
        raise CommandError("ERR can only reset normal client connections")
    sessions.reset(session)
    session.user = b"default"
    if not node_of(session).configuration.default_user.nopass:
        session.guard |= sessions.NOT_AUTHENTICATED
    return Status("RESET")


def browser(session: Session, args: Args) -> object:
    """End the connection of what speaks HTTP."""
    node_of(session).log.warning(
        "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands "
        "to Redis. "
        "This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your "
        f"Redis instance. Connection from {session.address} aborted."
    )
    session.flags |= sessions.CLOSING
    sessions.close_soon(session)
    return NO_REPLY


def register(engine: Engine) -> None:
    """The index of the family."""
    add_function(
        engine,
        Spec(
            "auth",
            -2,
            "noscript loading stale fast no_auth allow_busy",
            group="connection",
            summary="Authenticate the connection.",
            complexity="O(N) with N passwords",
        ),
        auth,
    )
    add_function(
        engine,
        Spec(
            "hello",
            -1,
            "noscript loading stale fast no_auth allow_busy",
            group="connection",
            since="6.0.0",
            summary="Greet the server and choose the protocol.",
            complexity="O(1)",
        ),
        hello,
    )
    add_function(
        engine,
        Spec(
            "reset",
            1,
            "noscript loading stale fast no_auth allow_busy transaction",
            group="connection",
            since="6.2.0",
            summary="Make the connection as new.",
            complexity="O(1)",
        ),
        reset,
    )
    for name in ("post", "host:"):
        add_function(
            engine,
            Spec(
                name,
                -1,
                "readonly loading stale no_auth",
                group="server",
                summary="Refuse what speaks HTTP.",
                complexity="O(1)",
            ),
            browser,
        )
