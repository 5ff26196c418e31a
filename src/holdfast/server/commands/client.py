"""CLIENT: the connections, seen and steered by one of them (https://redis.io/commands/?group=connection).

The index of the family is `register`. Client-side caching does not exist yet:
CLIENT TRACKING ON says so, the questions about it answer that it is off.
"""

from __future__ import annotations

from holdfast.commands.help import help_command
from holdfast.commands.spec import Spec
from holdfast.commands.subcommands import Row, add_subcommands
from holdfast.engine import blocking, sessions
from holdfast.engine.registry import add_container
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import NO_REPLY, OK, CommandError, OrderedSet, Pairs, Verbatim
from holdfast.server.client_listing import line_of
from holdfast.server.commands.authentication import BAD_NAME, is_printable
from holdfast.server.commands.client_filter import ClientFilter, class_by_name
from holdfast.server.commands.words import Args, integer, on_or_off, syntax_error, text
from holdfast.server.node import node_of
from holdfast.server.pauses import CLIENT_COMMAND

NO_TRACKING = "ERR client-side caching (CLIENT TRACKING) is not supported yet"
HELP = (
    "CACHING (YES|NO)",
    "    Say for the next command whether its keys are tracked (with OPTIN or OPTOUT).",
    "GETREDIR",
    "    Tell the client that invalidations are redirected to.",
    "GETNAME",
    "    Tell the name of this connection.",
    "ID",
    "    Tell the id of this connection.",
    "INFO",
    "    Describe this connection.",
    "KILL <ip:port>",
    "    Close the connection from this address.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Close the connections that all options select:",
    "    * ADDR (<ip:port>|<unixsocket>:0), LADDR (the same): where from, where to.",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB), USER <username>, ID <id>.",
    "    * SKIPME (YES|NO): spare this connection (default: yes).",
    "LIST [options ...]",
    "    Describe connections: TYPE (NORMAL|MASTER|REPLICA|PUBSUB), or ID <id> [<id> ...].",
    "UNPAUSE",
    "    End the pause.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Let all clients, or writes only, wait for so many milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Choose whether this connection gets replies.",
    "SETNAME <name>",
    "    Name this connection.",
    "SETINFO <option> <value>",
    "    Tell of the client library: LIB-NAME, LIB-VER.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    End the wait of a blocked client.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Client-side caching (not supported yet).",
    "TRACKINGINFO",
    "    Tell of the tracking of this connection.",
    "NO-EVICT (ON|OFF)",
    "    Spare this connection when clients are evicted.",
    "NO-TOUCH (ON|OFF)",
    "    Do not count this connection's accesses for LRU and LFU.",
)


def id_(session: Session, args: Args) -> object:
    """CLIENT ID."""
    return session.id


def info(session: Session, args: Args) -> object:
    """CLIENT INFO."""
    node = node_of(session)
    return Verbatim(line_of(node, node.clients.connections[session.id]) + "\n")


def list_(session: Session, args: Args) -> object:
    """CLIENT LIST [TYPE type | ID id [id ...]]."""
    node = node_of(session)
    chosen = list(node.clients.connections.values())
    if len(args) == 4 and args[2].lower() == b"type":
        wanted = class_by_name(args[3])
        chosen = [each for each in chosen if node.clients.client_class(each.session) == wanted]
    elif len(args) > 3 and args[2].lower() == b"id":
        numbers = [integer(each, "ERR Invalid client ID") for each in args[3:]]
        found = node.clients.connections
        chosen = [found[number] for number in numbers if number in found]
    elif len(args) != 2:
        raise syntax_error()
    return Verbatim("".join(line_of(node, each) + "\n" for each in chosen))


def kill(session: Session, args: Args) -> object:
    """CLIENT KILL address | option value [option value ...]."""
    node = node_of(session)
    old_form = len(args) == 3
    wanted = ClientFilter.of_address(args[2]) if old_form else ClientFilter.of_options(args[2:])
    killed = 0
    for connection in list(node.clients.connections.values()):
        other = connection.session
        if not wanted.selects(other, node.clients.client_class(other)):
            continue
        if other is session:
            if wanted.spare_self:
                continue
            session.flags |= sessions.CLOSE_AFTER
        else:
            node.clients.close(other)
        killed += 1
    if not old_form:
        return killed
    if not killed:
        raise CommandError("ERR No such client")
    return OK


def set_name(session: Session, args: Args) -> object:
    """CLIENT SETNAME name."""
    if not is_printable(args[2]):
        raise CommandError(BAD_NAME)
    session.name = args[2] or None
    return OK


def get_name(session: Session, args: Args) -> object:
    """CLIENT GETNAME."""
    return session.name


def set_info(session: Session, args: Args) -> object:
    """CLIENT SETINFO LIB-NAME name | LIB-VER version."""
    option = args[2].lower()
    if option not in (b"lib-name", b"lib-ver"):
        raise CommandError(f"ERR Unrecognized option '{text(args[2])}'")
    if not is_printable(args[3]):
        raise CommandError(f"ERR {text(args[2])} cannot contain spaces, newlines or special characters.")
    if option == b"lib-name":
        session.lib_name = args[3] or None
    else:
        session.lib_ver = args[3] or None
    return OK


def reply(session: Session, args: Args) -> object:
    """CLIENT REPLY ON|OFF|SKIP."""
    mode = text(args[2]).lower()
    if mode not in ("on", "off", "skip"):
        raise syntax_error()
    sessions.set_replies(session, mode)
    return OK if mode == "on" else NO_REPLY


def pause(session: Session, args: Args) -> object:
    """CLIENT PAUSE milliseconds [WRITE|ALL]."""
    if len(args) > 4:
        raise CommandError(
            "ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP."
        )
    everything = True
    if len(args) == 4:
        mode = args[3].lower()
        if mode not in (b"write", b"all"):
            raise CommandError("ERR CLIENT PAUSE mode must be WRITE or ALL")
        everything = mode == b"all"
    wait_ms = integer(args[2], "ERR timeout is not an integer or out of range")
    if wait_ms < 0:
        raise CommandError("ERR timeout is negative")
    node = node_of(session)
    until_ms = node.engine.now_ms + wait_ms
    if until_ms >= 1 << 63:
        raise CommandError("ERR timeout is out of range")
    node.client_pauses.begin(CLIENT_COMMAND, until_ms, everything)
    return OK


def unpause(session: Session, args: Args) -> object:
    """CLIENT UNPAUSE."""
    node_of(session).client_pauses.end(CLIENT_COMMAND)
    return OK


def unblock(session: Session, args: Args) -> object:
    """CLIENT UNBLOCK id [TIMEOUT|ERROR]."""
    if len(args) > 4:
        raise CommandError(
            "ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP."
        )
    as_error = False
    if len(args) == 4:
        reason = args[3].lower()
        if reason not in (b"timeout", b"error"):
            raise CommandError("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
        as_error = reason == b"error"
    other = session.engine.sessions.get(integer(args[2]))
    return int(other is not None and blocking.unblock(other, as_error))


def no_evict(session: Session, args: Args) -> object:
    """CLIENT NO-EVICT ON|OFF."""
    if on_or_off(args[2]):
        session.flags |= sessions.NO_EVICT
    else:
        session.flags &= ~sessions.NO_EVICT
    return OK


def no_touch(session: Session, args: Args) -> object:
    """CLIENT NO-TOUCH ON|OFF."""
    sessions.set_no_touch(session, on_or_off(args[2]))
    return OK


def get_redirection(session: Session, args: Args) -> object:
    """CLIENT GETREDIR."""
    return -1


def tracking(session: Session, args: Args) -> object:
    """CLIENT TRACKING ON|OFF ...: off it is."""
    if on_or_off(args[2]):
        raise CommandError(NO_TRACKING)
    return OK


def tracking_info(session: Session, args: Args) -> object:
    """CLIENT TRACKINGINFO."""
    return Pairs([(b"flags", OrderedSet([b"off"])), (b"redirect", -1), (b"prefixes", [])])


def caching(session: Session, args: Args) -> object:
    """CLIENT CACHING YES|NO: there is nothing to cache."""
    raise CommandError(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
        "OPTOUT mode enabled"
    )


FEW = "O(1)"
MANY = "O(N) with N clients"
NO_SCRIPT = "noscript loading stale"
ADMIN = "admin noscript loading stale"
SUBCOMMANDS: tuple[Row, ...] = (
    ("caching", 3, NO_SCRIPT, "6.0.0", caching, "Say whether the next command's keys are tracked.", FEW),
    ("getname", 2, NO_SCRIPT, "2.6.9", get_name, "Tell the connection's name.", FEW),
    ("getredir", 2, NO_SCRIPT, "6.0.0", get_redirection, "Tell where invalidations go.", FEW),
    ("help", 2, "loading stale", "5.0.0", help_command("CLIENT", HELP), "Show help on CLIENT.", FEW),
    ("id", 2, NO_SCRIPT, "5.0.0", id_, "Tell the connection's id.", FEW),
    ("info", 2, NO_SCRIPT, "6.2.0", info, "Describe this connection.", FEW),
    ("kill", -3, ADMIN, "2.4.0", kill, "Close connections.", MANY),
    ("list", -2, ADMIN, "2.4.0", list_, "Describe connections.", MANY),
    ("no-evict", 3, ADMIN, "7.0.0", no_evict, "Spare this connection from eviction.", FEW),
    ("no-touch", 3, NO_SCRIPT, "7.2.0", no_touch, "Do not count this connection's accesses.", FEW),
    ("pause", -3, ADMIN, "3.0.0", pause, "Let clients wait.", FEW),
    ("reply", 3, NO_SCRIPT, "3.2.0", reply, "Choose whether to get replies.", FEW),
    ("setinfo", 4, NO_SCRIPT, "7.2.0", set_info, "Tell of the client library.", FEW),
    ("setname", 3, NO_SCRIPT, "2.6.9", set_name, "Name the connection.", FEW),
    ("tracking", -3, NO_SCRIPT, "6.0.0", tracking, "Client-side caching (not yet).", FEW),
    ("trackinginfo", 2, NO_SCRIPT, "6.2.0", tracking_info, "Tell of the connection's tracking.", FEW),
    ("unblock", -3, ADMIN, "5.0.0", unblock, "End the wait of a blocked client.", "O(1)"),
    ("unpause", 2, ADMIN, "6.2.0", unpause, "End the pause.", "O(N) with N waiting clients"),
)


def register(engine: Engine) -> None:
    """The index of the family."""
    add_container(
        engine,
        Spec(
            "client",
            -2,
            "container",
            group="connection",
            since="2.4.0",
            summary="Commands about connections.",
        ),
    )
    add_subcommands(engine, "client", SUBCOMMANDS, group="connection")
