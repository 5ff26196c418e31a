"""The proxy's own commands: AUTH, HELLO, RESET, INFO and PROXY.

What it is: what a client asks of the proxy itself, where the answer differs from a
server's. Passwords are those of the pool (`redis_auth`), in twemproxy's words; INFO
has a section `proxy`; PROXY is for operators. What it is not: CLIENT, COMMAND, PING
and the like, which are the server's own families (`holdfast.server.commands`).

How to read it: `register` at the end is the index.
"""

from __future__ import annotations

import json

from holdfast.commands.help import help_command
from holdfast.commands.spec import Spec
from holdfast.engine import sessions
from holdfast.engine.registry import add_container, add_function, rename_command, specification
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import OK, CommandError, Pairs, Status
from holdfast.proxy.shapes import Client
from holdfast.server.commands import authentication
from holdfast.server.commands.words import Args, text

NO_PASSWORD = "ERR Client sent AUTH, but no password is set"
WRONG_PASSWORD = "ERR invalid password"
SECTIONS = ("server", "clients", "cpu", "stats", "proxy")
HELP = (
    "RELOAD",
    "    Read the configuration file again; clients stay connected.",
    "STATS",
    "    The statistics, as the statistics port tells them.",
    "DRAIN",
    "    Take no new clients, and end when those that are there have gone.",
)


def client_of(session: Session) -> Client:
    """Return the client of a session."""
    client: Client = session.owner
    return client


def let_in(session: Session, password: bytes) -> bool:
    """Let the client in if it knows the pool's password; shut it out if not, as twemproxy does."""
    if password == client_of(session).door.password:
        session.guard &= ~sessions.NOT_AUTHENTICATED
        return True
    session.guard |= sessions.NOT_AUTHENTICATED
    return False


def auth(session: Session, args: Args) -> object:
    """AUTH [username] password."""
    if client_of(session).door.password is None:
        raise CommandError(NO_PASSWORD)
    if len(args) > 3 or not let_in(session, args[-1]):
        raise CommandError(WRONG_PASSWORD)
    return OK


def hello(session: Session, args: Args) -> object:
    """HELLO [protocol [AUTH username password] [SETNAME name]]."""
    words = list(args)
    place = next((at for at, word in enumerate(words) if at > 1 and word.lower() == b"auth"), 0)
    if place and len(words) > place + 2:
        if client_of(session).door.password is not None and not let_in(session, words[place + 2]):
            raise CommandError(authentication.WRONG_PASSWORD)
        del words[place : place + 3]
    told = authentication.hello(session, words)
    if not isinstance(told, Pairs):
        return told
    return Pairs([(name, "proxy" if name == b"mode" else value) for name, value in told])


def reset(session: Session, args: Args) -> object:
    """RESET."""
    sessions.reset(session)
    if client_of(session).door.password is not None:
        session.guard |= sessions.NOT_AUTHENTICATED
    return Status("RESET")


def info(session: Session, args: Args) -> object:
    """INFO: the sections that a proxy has."""
    words = [text(each).lower() for each in args[1:]]
    whole = not words or {"default", "all", "everything"} & set(words)
    return session.engine.node.info.text(SECTIONS if whole else [each for each in words if each in SECTIONS])


def reload_(session: Session, args: Args) -> object:
    """PROXY RELOAD."""
    problem = session.engine.node.reload()
    if problem:
        raise CommandError(f"ERR {problem}")
    return OK


def stats(session: Session, args: Args) -> object:
    """PROXY STATS."""
    return json.dumps(session.engine.node.statistics())


def drain(session: Session, args: Args) -> object:
    """PROXY DRAIN."""
    session.engine.node.drain()
    return OK


def register(engine: Engine) -> None:
    """The index of the family: what stands in for the server's own, then PROXY."""
    for name, function in (("auth", auth), ("hello", hello), ("reset", reset), ("info", info)):
        spec = specification(engine, name)
        assert spec is not None
        rename_command(engine, name, "")
        add_function(engine, spec, function)
    add_container(engine, Spec("proxy", -2, "admin container", group="server", summary="Steer the proxy."))
    for name, arity, function, summary in (
        ("reload", 2, reload_, "Read the configuration file again."),
        ("stats", 2, stats, "Tell the statistics as JSON."),
        ("drain", 2, drain, "Let clients go, and end."),
        ("help", 2, help_command("PROXY", HELP), "Show help on PROXY."),
    ):
        add_function(
            engine, Spec(f"proxy|{name}", arity, "admin", group="server", summary=summary), function
        )
