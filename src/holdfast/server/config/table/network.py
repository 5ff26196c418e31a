"""Where a node listens, and who may come in.

How to read it: a directive a line; `accepted` says what one means that does not work here.
"""

from __future__ import annotations

from holdfast.server.config.checks import needs
from holdfast.server.config.directive import (
    LONG_MAX,
    UINT_MAX,
    Directive,
    choice,
    integer,
    name_or_none,
    yes_no,
)
from holdfast.server.config.kinds import Octal, Text
from holdfast.server.config.lists import Addresses

_NO_ACL_FILE = (
    "ACL files are not supported: the server would be open to users whom the file restricts. Use requirepass"
)

DIRECTIVES = (
    Directive("bind", Addresses(), ("*", "-::*")),
    name_or_none("bind-source-addr"),
    integer("port", 6379, 0, 65535),
    integer("tcp-backlog", 511, immutable=True),
    integer("tcp-keepalive", 300),
    integer("timeout", 0),
    integer("maxclients", 10000, 1, UINT_MAX),
    name_or_none("unixsocket", immutable=True),
    Directive("unixsocketperm", Octal(0, 0o777), 0, immutable=True),
    yes_no("protected-mode", True),
    integer(
        "socket-mark-id", 0, 0, UINT_MAX, immutable=True, accepted="sockets are not marked for the firewall"
    ),
    name_or_none("requirepass", raw=True, sensitive=True),
    Directive(
        "aclfile",
        Text(check=lambda value: needs(value, _NO_ACL_FILE)(value) if value else None),
        "",
        immutable=True,
        accepted="there are no ACL files; the default user and requirepass decide who comes in",
    ),
    choice(
        "acl-pubsub-default",
        "resetchannels",
        "allchannels",
        "resetchannels",
        accepted="there are no users beside the default one, who may use all channels",
    ),
    integer("acllog-max-len", 128, 0, LONG_MAX, accepted="there is no ACL log yet, so nothing is kept in it"),
    choice("enable-protected-configs", "no", "no", "yes", "local", immutable=True),
    choice("enable-debug-command", "no", "no", "yes", "local", immutable=True),
    choice(
        "enable-module-command",
        "no",
        "no",
        "yes",
        "local",
        immutable=True,
        accepted="there is no MODULE command, so nothing is allowed by this",
    ),
)
