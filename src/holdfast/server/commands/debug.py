"""DEBUG: doors for tests and for the curious (https://redis.io/commands/debug/).

Refused unless `enable-debug-command` allows it, as in Redis 7. What would crash or
leak on purpose (SEGFAULT, PANIC, OOM, LEAK ...) does not exist here.

How to read it: `SUBCOMMANDS` at the end is the index; `debug` finds the one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

from holdfast.commands.help import help_lines
from holdfast.commands.spec import Spec
from holdfast.engine import examine, sessions
from holdfast.engine.digest import digest_of_all, digest_of_value
from holdfast.engine.glob import matches
from holdfast.engine.populate import populate, set_packed_threshold
from holdfast.engine.registry import add_function
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import OK, CommandError, Raw, Status, Verbatim
from holdfast.server.commands.debug_protocol import protocol
from holdfast.server.commands.words import Args, integer, text
from holdfast.server.config.numbers import memory_bytes
from holdfast.server.node import node_of

STRINGMATCH_ROUNDS = 10_000
POPULATE_MOST = 1 << 32
NO_SUCH_KEY = "ERR no such key"
NOT_ALLOWED = (
    'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can '
    "run it from "
    "a local connection, otherwise you need to set this option in the configuration file, and then "
    "restart the "
    "server."
)
HELP = (
    "CHANGE-REPL-ID",
    "    Take new replication ids. Dangerous: for tests of replication.",
    "DIGEST",
    "    Show a digest of all data; equal data has equal digests.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Show digests of values.",
    "ERROR <string>",
    "    Reply with this error.",
    "LOG <message>",
    "    Write a message into the log.",
    "HTSTATS <dbid> [full]",
    "    Show statistics of a database's table.",
    "HTSTATS-KEY <key> [full]",
    "    Show statistics of a value's table.",
    "LISTPACK <key>",
    "    Show a value in compact form.",
    "OBJECT <key>",
    "    Show how a key is kept.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Add so many keys, named <prefix>:<number>, with values of this size (by default key:<number>).",
    "PROTOCOL <type>",
    "    Reply with a value of this type: string, integer, double, bignum, null, array, set, map,",
    "    attrib, push, verbatim, true, false.",
    "QUICKLIST <key> [<0|1>]",
    "    Show a long list.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Set from which size on an element of a list stands alone (0: the default).",
    "RELOAD [option ...]",
    "    Save and load all data. Options: MERGE, NOFLUSH, NOSAVE.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Turn the search for expired keys off or on.",
    "SLEEP <seconds>",
    "    Do nothing for so long.",
    "STRINGMATCH-TEST",
    "    Match patterns drawn by luck against texts drawn by luck.",
    "STRUCTSIZE",
    "    Show the sizes of structures.",
)


def digest(session: Session, args: Args) -> object:
    """DEBUG DIGEST."""
    return Status(digest_of_all(session.engine))


def digest_value(session: Session, args: Args) -> object:
    """DEBUG DIGEST-VALUE key [key ...]."""
    return [Status(digest_of_value(session.engine, session.database, key)) for key in args[2:]]


def object_(session: Session, args: Args) -> object:
    """DEBUG OBJECT key."""
    told = examine.describe(session.engine, session.database, args[2])
    if told is None:
        raise CommandError(NO_SUCH_KEY)
    return Status(
        "Value at:0x{at:x} refcount:1 encoding:{encoding} serializedlength:{serializedlength} lru:{lru} "
        "lru_seconds_idle:{idle_seconds}{extra}".format(**told)
    )


def listpack(session: Session, args: Args) -> object:
    """DEBUG LISTPACK key."""
    told = examine.listpack_lines(session.engine, session.database, args[2])
    if told is None:
        raise CommandError(NO_SUCH_KEY)
    if told is False:
        raise CommandError("ERR Not a listpack encoded object.")
    size, elements = told
    shown = " ".join(json.dumps(each.decode("utf-8", "backslashreplace")) for each in elements)
    return Status(f"{size} bytes, {len(elements)} elements: {shown}".replace("\r", " ").replace("\n", " "))


def quicklist(session: Session, args: Args) -> object:
    """DEBUG QUICKLIST key [0|1]."""
    told = examine.quicklist_facts(session.engine, session.database, args[2])
    if told is None:
        raise CommandError(NO_SUCH_KEY)
    if told is False:
        raise CommandError("ERR Not a quicklist encoded object.")
    return Status(f"{told[0]} nodes, {told[1]} elements")


def table_statistics(session: Session, args: Args) -> object:
    """DEBUG HTSTATS database [FULL]."""
    number = integer(args[2])
    engine = session.engine
    if not 0 <= number < engine.database_count:
        raise CommandError("ERR Out of range database")
    table_bytes, expiry_bytes = examine.database_tables(engine, number)
    return Verbatim(
        f"[Dictionary HT]\nnumber of elements: {engine.key_count(number)}\nbytes of buckets: {table_bytes}\n"
        f"[Expires HT]\nnumber of elements: {engine.volatile_count(number)}\nbytes of the list: "
        f"{expiry_bytes}\n"
    )


def value_statistics(session: Session, args: Args) -> object:
    """DEBUG HTSTATS-KEY key [FULL]."""
    told = examine.value_table(session.engine, session.database, args[2])
    if told is None:
        raise CommandError(NO_SUCH_KEY)
    if told is False:
        raise CommandError("ERR The value stored at the specified key is not represented using an hash table")
    return Verbatim(f"number of elements: {told[0]}\nbytes of buckets: {told[1]}\n")


def sleep(session: Session, args: Args) -> object:
    """DEBUG SLEEP seconds: everybody waits, that is its purpose."""
    try:
        seconds = float(args[2])
    except ValueError:
        seconds = 0.0
    if 0 < seconds < threading.TIMEOUT_MAX:
        threading.Event().wait(seconds)
    return OK


def set_active_expire(session: Session, args: Args) -> object:
    """DEBUG SET-ACTIVE-EXPIRE 0|1."""
    session.engine.active_expire = args[2] not in (b"0", b"")
    return OK


def packed_threshold(session: Session, args: Args) -> object:
    """DEBUG QUICKLIST-PACKED-THRESHOLD size."""
    size = memory_bytes(text(args[2]))
    if size is None or size < 0 or size == 1 or size >= 1 << 32:
        raise CommandError("ERR argument must be a memory value bigger than 1 and smaller than 4gb")
    set_packed_threshold(session, size)
    return OK


def count_of(word: bytes) -> int:
    """Read a number that is not negative."""
    return integer(word, "ERR value is out of range, must be positive", low=0)


def populate_(session: Session, args: Args) -> object:
    """DEBUG POPULATE keys [prefix [bytes of a value]]."""
    keys = count_of(args[2])
    if keys > POPULATE_MOST:
        raise CommandError("ERR OOM in dictTryExpand")
    value_bytes = count_of(args[4]) if len(args) == 5 else 0
    populate(session, keys, args[3] if len(args) > 3 else b"key", value_bytes)
    return OK


def reload(session: Session, args: Args) -> object:
    """DEBUG RELOAD [MERGE] [NOFLUSH] [NOSAVE]."""
    words = {text(each).lower() for each in args[2:]}
    if words - {"merge", "noflush", "nosave"}:
        raise CommandError("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
    door = node_of(session).doors.reload
    if door is None:
        raise CommandError("ERR this node has no snapshots to reload from")
    return door(session, "nosave" not in words, "noflush" not in words, "merge" in words)


def change_replication_id(session: Session, args: Args) -> object:
    """DEBUG CHANGE-REPL-ID."""
    node = node_of(session)
    node.log.notice("Changing replication IDs after receiving DEBUG change-repl-id")
    if node.doors.change_replication_id is None:
        node.run_id = f"{node.host.random.getrandbits(160):040x}"
    else:
        node.doors.change_replication_id()
    return OK


def error(session: Session, args: Args) -> object:
    """DEBUG ERROR text."""
    return Raw(b"-" + args[2].replace(b"\r", b" ").replace(b"\n", b" ") + b"\r\n")


def log(session: Session, args: Args) -> object:
    """DEBUG LOG text."""
    node_of(session).log.warning(f"DEBUG LOG: {text(args[2])}")
    return OK


def struct_sizes(session: Session, args: Args) -> object:
    """DEBUG STRUCTSIZE."""
    return b"bits:64 record:16 expiry:16 bucket:64 hashentry:8 member:16 "


def string_match(session: Session, args: Args) -> object:
    """DEBUG STRINGMATCH-TEST: no pattern may crash the matcher, whatever it looks like."""
    luck = node_of(session).host.random
    for _ in range(STRINGMATCH_ROUNDS):
        pattern = bytes(luck.choices(b"*?[]^-\\ab\xff\x00", k=luck.randrange(12)))
        matches(pattern, luck.randbytes(luck.randrange(24)), luck.random() < 0.5)
    return Status("Apparently Redis did not crash: test passed")


Handler = Callable[[Session, Args], object]
SUBCOMMANDS: dict[bytes, tuple[Handler, int, int]] = {
    b"change-repl-id": (change_replication_id, 2, 2),
    b"digest": (digest, 2, 2),
    b"digest-value": (digest_value, 2, 1 << 31),
    b"error": (error, 3, 3),
    b"help": (lambda session, args: help_lines("DEBUG", HELP), 2, 2),
    b"htstats": (table_statistics, 3, 1 << 31),
    b"htstats-key": (value_statistics, 3, 1 << 31),
    b"listpack": (listpack, 3, 3),
    b"log": (log, 3, 3),
    b"object": (object_, 3, 3),
    b"populate": (populate_, 3, 5),
    b"protocol": (protocol, 3, 3),
    b"quicklist": (quicklist, 3, 4),
    b"quicklist-packed-threshold": (packed_threshold, 3, 3),
    b"reload": (reload, 2, 1 << 31),
    b"set-active-expire": (set_active_expire, 3, 3),
    b"sleep": (sleep, 3, 3),
    b"stringmatch-test": (string_match, 2, 2),
    b"structsize": (struct_sizes, 2, 2),
}
"""Handler, fewest and most arguments, the names included."""


def debug(session: Session, args: Args) -> object:
    """DEBUG subcommand [argument ...]."""
    allowed = node_of(session).configuration["enable-debug-command"]
    local = bool(session.flags & sessions.UNIX) or (session.address or "").startswith(("127.", "[::1]"))
    if allowed != "yes" and not (allowed == "local" and local):
        raise CommandError(NOT_ALLOWED)
    handler, fewest, most = SUBCOMMANDS.get(args[1].lower(), (None, 0, 0))
    if handler is None or not fewest <= len(args) <= most:
        shown = text(args[1])[:128]
        raise CommandError(
            f"ERR unknown subcommand or wrong number of arguments for '{shown}'. Try DEBUG HELP."
        )
    return handler(session, args)


def register(engine: Engine) -> None:
    """The index of the family."""
    add_function(
        engine,
        Spec(
            "debug",
            -2,
            "admin noscript loading stale protected",
            group="server",
            summary="Doors for tests.",
            complexity="Depends on the subcommand",
        ),
        debug,
    )
