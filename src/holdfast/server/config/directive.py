"""One line of the table of directives: a name and all that is fixed about it.

Not the value: a `Directive` is the same object for every node; values live in
`Configuration`.

How to read it: `Directive`, then the short spellings that the tables use.
"""

from __future__ import annotations

from typing import Any

from holdfast.server.config.kinds import Choice, Integer, Kind, Memory, Text, YesNo

INT_MAX = (1 << 31) - 1
UINT_MAX = (1 << 32) - 1
LONG_MAX = (1 << 63) - 1
ULONG_MAX = (1 << 64) - 1


class Directive:
    """What is fixed about a directive.

    `accepted` is empty for a directive that works. Else it says in one sentence
    what the directive means here, and is logged once when a file asks for it.
    """

    __slots__ = (
        "accepted",
        "aliases",
        "default",
        "denied_while_loading",
        "hidden",
        "immutable",
        "kind",
        "name",
        "protected",
        "sensitive",
        "volatile",
    )

    def __init__(
        self,
        name: str,
        kind: Kind,
        default: Any,
        *,
        aliases: tuple[str, ...] = (),
        accepted: str = "",
        immutable: bool = False,
        sensitive: bool = False,
        hidden: bool = False,
        protected: bool = False,
        denied_while_loading: bool = False,
        volatile: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.default = default
        self.aliases = aliases
        self.accepted = accepted
        self.immutable = immutable
        """CONFIG SET refuses it; only a file or the command line may give it."""
        self.sensitive = sensitive
        """Its value must not appear in logs, SLOWLOG and MONITOR."""
        self.hidden = hidden
        """CONFIG GET shows it by its full name only."""
        self.protected = protected
        """CONFIG SET needs `enable-protected-configs`."""
        self.denied_while_loading = denied_while_loading
        self.volatile = volatile
        """Setting the same value again means: read the file behind it again."""

    @property
    def works(self) -> bool:
        """Whether the directive does what it says."""
        return not self.accepted

    def __repr__(self) -> str:
        return f"<Directive {self.name}>"


def yes_no(name: str, default: bool, **fixed: Any) -> Directive:
    """Return a directive with yes or no."""
    return Directive(name, YesNo(), default, **fixed)


def integer(name: str, default: int, lower: int = 0, upper: int = INT_MAX, **fixed: Any) -> Directive:
    """Return a directive with a whole number."""
    return Directive(name, Integer(lower, upper), default, **fixed)


def memory(name: str, default: int, lower: int = 0, upper: int = LONG_MAX, **fixed: Any) -> Directive:
    """Return a directive in bytes."""
    return Directive(name, Memory(lower, upper), default, **fixed)


def text(name: str, default: str = "", **fixed: Any) -> Directive:
    """Return a directive with a text that may be empty."""
    return Directive(name, Text(), default, **fixed)


def name_or_none(name: str, *, raw: bool = False, **fixed: Any) -> Directive:
    """Return a directive with a text whose emptiness means that there is none."""
    return Directive(name, Text(absent_when_empty=True, raw=raw), "", **fixed)


def choice(name: str, default: str, *choices: str, **fixed: Any) -> Directive:
    """Return a directive with one word out of a few."""
    return Directive(name, Choice(*choices), default, **fixed)
