"""What a command declares about itself, once, beside its handler.

What it is: the `Spec` record and the names of flags and ACL categories. COMMAND,
COMMAND DOCS, ACL, cluster routing, the proxy and the documentation all read it.
What it is not: behaviour.

Names, flags and categories are those of Redis 7.2 (https://redis.io/commands/command/).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

FLAGS = (
    "write", "readonly", "denyoom", "admin", "pubsub", "noscript", "blocking", "loading", "stale",
    "skip_monitor", "skip_slowlog", "asking", "fast", "no_auth", "may_replicate", "no_mandatory_keys",
    "protected", "no_async_loading", "no_multi", "movablekeys", "allow_busy", "touches_arbitrary_keys",
    "transaction", "container", "only_sentinel",
)  # fmt: skip
"""In the order of the bits of `CommandFlag` in engine/state.pxd."""

CATEGORIES = (
    "keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo",
    "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction",
    "scripting",
)  # fmt: skip

_FLAG_BITS = {name: 1 << bit for bit, name in enumerate(FLAGS)}
_CATEGORY_BITS = {name: 1 << bit for bit, name in enumerate(CATEGORIES)}

GROUP_CATEGORIES = {
    "string": "string", "list": "list", "set": "set", "sorted_set": "sortedset", "hash": "hash",
    "bitmap": "bitmap", "pubsub": "pubsub", "transactions": "transaction", "scripting": "scripting",
    "connection": "connection", "generic": "keyspace",
}  # fmt: skip


@dataclass(frozen=True)
class KeySpec:
    """Where keys stand in a call, where first-last-step does not tell it all.

    `begin` is an argv index, or a keyword searched from `begin_from`; then either
    a range (`last`, `step`, `limit`) or a count at `begin + keynum` with the first
    key at `begin + first`.
    """

    flags: str
    """Space-separated: RO RW OW RM access update insert delete not_key incomplete variable_flags."""
    begin: int | str = 1
    begin_from: int = 1
    last: int = 0
    step: int = 1
    limit: int = 0
    keynum: int | None = None
    first: int = 1


@dataclass(frozen=True)
class Spec:
    """One command or sub-command (``config|get``)."""

    name: str
    arity: int
    """Arguments with the name included; negative: at least so many."""
    flags: str = ""
    """Space-separated names of `FLAGS`."""
    keys: tuple[int, int, int] = (0, 0, 0)
    """First key, last key (negative: from the end), step."""
    group: str = "generic"
    since: str = "1.0.0"
    summary: str = ""
    complexity: str = ""
    categories: str = ""
    """ACL categories beyond those that flags and group imply."""
    key_specs: tuple[KeySpec, ...] = ()
    """Given where `keys` does not say it all; else derived from `keys`."""
    tips: tuple[str, ...] = ()

    @property
    def flag_names(self) -> frozenset[str]:
        """The flags as a set."""
        return _words(self.flags)

    @property
    def flag_bits(self) -> int:
        """The flags as bits of `CommandFlag`."""
        return _flag_bits(self.flags)

    @property
    def category_names(self) -> frozenset[str]:
        """The ACL categories, with those that Redis implies from flags and group."""
        return _category_names(self.flags, self.group, self.categories)

    @property
    def category_bits(self) -> int:
        """The ACL categories as bits, in the order of `CATEGORIES`."""
        return _category_bits(self.flags, self.group, self.categories)


# Many commands have the same flags and group, and every node of a process declares all of them.


@cache
def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


@cache
def _flag_bits(flags: str) -> int:
    return sum(_FLAG_BITS[name] for name in _words(flags))


@cache
def _category_names(flags_text: str, group: str, categories: str) -> frozenset[str]:
    flags = _words(flags_text)
    names = set(categories.split())
    if group in GROUP_CATEGORIES:
        names.add(GROUP_CATEGORIES[group])
    names.add("fast" if "fast" in flags else "slow")
    if "write" in flags:
        names.add("write")
    if "readonly" in flags and "scripting" not in names:
        names.add("read")
    if "admin" in flags:
        names.update(("admin", "dangerous"))
    if "pubsub" in flags:
        names.add("pubsub")
    if "blocking" in flags:
        names.add("blocking")
    return frozenset(names)


@cache
def _category_bits(flags: str, group: str, categories: str) -> int:
    return sum(_CATEGORY_BITS[name] for name in _category_names(flags, group, categories))
