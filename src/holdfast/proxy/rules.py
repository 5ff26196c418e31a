"""How each command is routed: by which keys, split or not, here or there.

What it is: the judgement over the command table, as plain values: one `Rule` a
command, made from its specification (key positions, flags) and the few tables
below for commands that mean something else behind a proxy. What it is not: the
hot path; `verbs` copies the rules into C once.

How to read it: the tables name the exceptions, `rule_of` is the judgement.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from holdfast.commands.facts import has_movable_keys, key_specs_of
from holdfast.commands.spec import KeySpec, Spec


class Kind(IntEnum):
    """What is to be done with a command; the numbers are those of `VerbKind` in verbs.pxd."""

    LOCAL = 0
    """Answered by the proxy's own engine, an unknown or a wrong one included."""
    KEY = 1
    """To the shard of its one key."""
    KEYS = 2
    """To the shard that all keys of a range share."""
    COUNTED = 3
    """The same, where an argument tells how many keys there are."""
    MOVABLE = 4
    """The same, where the positions need a look at the options."""
    SPLIT = 5
    """In parts to the shards of its keys."""
    ALL = 6
    """To every shard."""
    CURSOR = 7
    """SCAN: to one shard after the other."""
    ANY = 8
    """To whichever shard: the first."""
    CHANNEL = 9
    """To the shard of a channel's name."""
    LISTEN = 10
    """Subscriptions."""
    MULTI = 11
    EXEC = 12
    DISCARD = 13
    WATCH = 14
    UNWATCH = 15
    SELECT = 16
    CONTAINER = 17
    """Its sub-command decides."""
    REFUSED = 18
    """Not through a proxy."""


class Join(IntEnum):
    """How parts become one reply; the numbers are those of `Join` in slots.pxd."""

    VALUES = 0
    SUM = 1
    STATUS = 2
    LISTS = 3
    FIRST = 4
    EVERY = 5
    SOME = 6
    CURSOR = 7


@dataclass(frozen=True)
class Rule:
    """How one command is routed."""

    kind: Kind
    join: Join = Join.VALUES
    writes: bool = False
    blocks: bool = False
    number: int = 0
    """COUNTED: where the count stands."""
    first: int = 0
    """The first key; COUNTED: counted from `number`."""
    last: int = 0
    """The last key of a range, negative from the end."""
    step: int = 1
    extra: int = 0
    """COUNTED: a key beside the counted ones, 0 for none."""


SPLIT = {
    "mget": (Join.VALUES, 1), "mset": (Join.STATUS, 2), "del": (Join.SUM, 1), "unlink": (Join.SUM, 1),
    "exists": (Join.SUM, 1), "touch": (Join.SUM, 1),
}  # fmt: skip
ALL = {
    "dbsize": Join.SUM, "keys": Join.LISTS, "flushall": Join.STATUS, "flushdb": Join.STATUS,
    "randomkey": Join.SOME, "script|load": Join.FIRST, "script|exists": Join.EVERY,
    "script|flush": Join.STATUS, "function|load": Join.FIRST, "function|delete": Join.STATUS,
    "function|flush": Join.STATUS, "function|restore": Join.STATUS,
}  # fmt: skip
ANY = ("time", "lolwut", "function|list", "function|dump", "function|stats", "function|help", "script|help")
KINDS = {
    "scan": Kind.CURSOR, "publish": Kind.CHANNEL, "spublish": Kind.CHANNEL, "multi": Kind.MULTI,
    "exec": Kind.EXEC, "discard": Kind.DISCARD, "watch": Kind.WATCH, "unwatch": Kind.UNWATCH,
    "select": Kind.SELECT,
}  # fmt: skip
LISTEN = ("subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe")
LOCAL = ("ping", "echo", "quit", "auth", "hello", "reset", "client", "command", "info", "proxy", "pubsub",
         "post", "host:", "readonly", "readwrite", "object|help", "memory|help")  # fmt: skip
REFUSED = (
    "migrate", "restore-asking", "pfdebug", "pfselftest", "asking", "client|pause", "client|unpause",
    "client|unblock", "client|caching",
)  # fmt: skip


def rule_of(spec: Spec) -> Rule:
    """Judge a command by its specification."""
    name, top = spec.name, spec.name.partition("|")[0]
    flags = spec.flag_names
    writes = "write" in flags or "may_replicate" in flags
    blocks = "blocking" in flags
    if name in SPLIT:
        join, step = SPLIT[name]
        return Rule(Kind.SPLIT, join, writes, first=1, last=-1, step=step)
    if name in ALL:
        return Rule(Kind.ALL, ALL[name], writes=name not in ("dbsize", "keys", "randomkey", "script|exists"))
    if name in ANY:
        return Rule(Kind.ANY)
    if name in KINDS:
        return Rule(KINDS[name], Join.CURSOR, writes, first=1, last=-1 if name == "watch" else 1)
    if name in LISTEN:
        return Rule(Kind.LISTEN)
    if name in LOCAL or top in LOCAL:
        return Rule(Kind.LOCAL)
    if name in REFUSED:
        return Rule(Kind.REFUSED)
    if name == "sort":      # STORE names a second key
        return Rule(Kind.MOVABLE, writes=writes)
    rule = _by_keys(spec, writes, blocks)
    if rule is not None:
        return rule
    if "container" in flags:
        return Rule(Kind.CONTAINER)
    return Rule(Kind.REFUSED)


def _by_keys(spec: Spec, writes: bool, blocks: bool) -> Rule | None:
    """The rule that the positions of the keys give; None: there are no keys."""
    first, last, step = spec.keys
    if first and not has_movable_keys(spec):
        kind = Kind.KEY if first == last else Kind.KEYS
        return Rule(kind, writes=writes, blocks=blocks, first=first, last=last, step=step)
    found = key_specs_of(spec)
    if not found:
        return None
    extra = 0
    counted = None
    for each in found:
        (begin, where), (find, how) = each["begin"], each["find"]
        if begin == "index" and find == "keynum" and counted is None:
            counted = where["index"], how
        elif begin == "index" and find == "range" and how["lastkey"] == 0 and not extra:
            extra = where["index"]
        else:
            return Rule(Kind.MOVABLE, writes=writes, blocks=blocks)
    if counted is None:
        return Rule(Kind.MOVABLE, writes=writes, blocks=blocks)
    index, how = counted
    number = index + how["keynumidx"]
    return Rule(
        Kind.COUNTED,
        writes=writes,
        blocks=blocks,
        number=number,
        first=index + how["firstkey"] - number,
        step=how["keystep"],
        extra=extra,
    )


def _one_key(name: str, arity: int, flags: str) -> Spec:
    return Spec(name, arity, flags, (1, 1, 1))


def _read(*specs: KeySpec) -> tuple[KeySpec, ...]:
    return specs


BEYOND = (
    # What backends may know and the engine's table may lack: streams, geo, HyperLogLog, functions.
    *(_one_key(name, arity, "write") for name, arity in (
        ("geoadd", -5), ("pfadd", -2), ("xadd", -5), ("xack", -4), ("xclaim", -6), ("xautoclaim", -6),
        ("xdel", -3), ("xtrim", -4), ("xsetid", -3),
    )),
    *(_one_key(name, arity, "readonly") for name, arity in (
        ("geodist", -4), ("geohash", -2), ("geopos", -2), ("geosearch", -7), ("georadius_ro", -6),
        ("georadiusbymember_ro", -5), ("xlen", 2), ("xrange", -4), ("xrevrange", -4), ("xpending", -3),
    )),
    Spec("pfcount", -2, "readonly", (1, -1, 1)),
    Spec("pfmerge", -2, "write", (1, -1, 1)),
    Spec("geosearchstore", -8, "write", (1, 2, 1)),
    *(Spec(name, arity, "write movablekeys", (1, 1, 1), key_specs=_read(
        KeySpec("RO access", 1), KeySpec("OW update", "STORE", at), KeySpec("OW update", "STOREDIST", at)))
      for name, arity, at in (("georadius", -6, 6), ("georadiusbymember", -5, 5))),
    Spec("xread", -4, "readonly blocking movablekeys",
         key_specs=_read(KeySpec("RO access", "STREAMS", 1, last=-1, limit=2))),
    Spec("xreadgroup", -7, "write blocking movablekeys",
         key_specs=_read(KeySpec("RO access", "STREAMS", 4, last=-1, limit=2))),
    Spec("xgroup", -2, "container"),
    *(Spec(f"xgroup|{name}", arity, "write", (2, 2, 1)) for name, arity in (
        ("create", -5), ("createconsumer", 5), ("delconsumer", 5), ("destroy", 4), ("setid", -5))),
    Spec("xinfo", -2, "container"),
    *(Spec(f"xinfo|{name}", arity, "readonly", (2, 2, 1)) for name, arity in (
        ("consumers", 4), ("groups", 3), ("stream", -3))),
    *(Spec(name, -3, flags, key_specs=_read(KeySpec("RW access update", 2, keynum=0)))
      for name, flags in (("fcall", "noscript"), ("fcall_ro", "noscript readonly"))),
    Spec("function", -2, "container"),
    *(Spec(f"function|{name}", -2, "noscript") for name in (
        "load", "delete", "flush", "restore", "list", "dump", "stats", "help")),
    Spec("memory", -2, "container"),
    Spec("memory|usage", -3, "readonly", (2, 2, 1)),
    *(Spec(name, -1, "admin") for name in (
        "acl", "cluster", "config", "debug", "failover", "latency", "module", "monitor", "psync", "replicaof",
        "replconf", "role", "save", "shutdown", "slaveof", "slowlog", "sync", "wait", "waitaof", "bgsave",
        "bgrewriteaof", "lastsave", "swapdb")),
)  # fmt: skip
"""Specifications, without handlers, for the commands that the engine's own table does not hold."""
