"""Checks of well-formed values that make no sense: names, titles, hosts.

They refuse with Redis's words and change nothing. Not here: what only a running
node can tell (a port in use); appliers refuse that.

How to read it: one function a rule; each raises `BadValue`.
"""

from __future__ import annotations

from holdfast.server.config.kinds import BadValue, Check

HOSTNAME_MAX_CHARACTERS = 255
TITLE_VARIABLES = frozenset(
    ("title", "listen-addr", "server-mode", "port", "tls-port", "config-file", "unixsocket")
)
_HOSTNAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")
_NOT_IN_NODENAME = frozenset("!#$%&()*+:;<>?@[]^{|}~")


def base_name(directive: str, what: str, *, may_be_empty: bool) -> Check:
    """Return a check that a value is a name without directories."""

    def check(value: str) -> None:
        if not value and not may_be_empty:
            raise BadValue(f"{directive} can't be empty")
        if "/" in value or "\\" in value:
            raise BadValue(f"{directive} can't be a path, just a {what}")

    return check


def hostname(value: str) -> None:
    """Check a host name that is announced."""
    if len(value) > HOSTNAME_MAX_CHARACTERS:
        raise BadValue("Hostnames must be less than 256 characters")
    if not _HOSTNAME.issuperset(value):
        raise BadValue("Hostnames may only contain alphanumeric characters, hyphens or dots")


def nodename(value: str) -> None:
    """Check a node name made for people."""
    if not _NOT_IN_NODENAME.isdisjoint(value):
        raise BadValue("Announced human node name contained invalid character")


def not_both_save_and_nosave(value: frozenset[str]) -> None:
    """Check the options of a shutdown by signal."""
    if "save" in value and "nosave" in value:
        raise BadValue("shutdown options SAVE and NOSAVE can't be used simultaneously")


def title_template(value: str) -> None:
    """Check a template of the process title; it may not vanish when some variables are empty."""
    expanded = expand_title(value, {"title": "", "server-mode": "", "unixsocket": ""})
    if not expanded:
        raise BadValue("template format is invalid or contains unknown variables")


def expand_title(template: str, variables: dict[str, str]) -> str | None:
    """Fill {variables} in; "{{" stands for a brace; None when the template is broken."""
    parts: list[str] = []
    rest = template
    while rest:
        text, brace, rest = rest.partition("{")
        parts.append(text)
        if not brace:
            break
        if rest.startswith("{"):
            parts.append("{")
            rest = rest[1:]
            continue
        name, closed, rest = rest.partition("}")
        if not closed or name not in TITLE_VARIABLES:
            return None
        parts.append(variables.get(name, "-"))
    return "".join(parts).strip(" ")


def needs(refused: object, reason: str) -> Check:
    """Return a check that refuses one value: honouring it is not possible, ignoring it not safe."""

    def check(value: object) -> None:
        if value == refused:
            raise BadValue(reason)

    return check
