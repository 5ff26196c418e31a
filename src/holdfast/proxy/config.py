"""nutcracker.yml: pools, their directives, their servers.

What it is: the file of twemproxy, read unchanged: all its directives with their
defaults, the same things refused in the same words, and servers in the order in
which twemproxy uses them (by length of the name, then by its bytes; with modula
this order decides). What it is not: connections; `node` builds pools of it.

How to read it: `read` is the door. `events_of` holds the file to twemproxy's
subset of YAML, `PoolFile` is one pool as it stands in the file, `DIRECTIVES` the
table of what may stand there; a pool of another kind adds its lines to it.

Source: twemproxy 0.5, README and the behaviour of Debian's nutcracker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from holdfast.proxy import distribution, key_hashes

KETAMA_PORT = 11211
"""Of a server with this port only the host is hashed, as libmemcached does."""


class BadFile(Exception):
    """The file cannot be used; the text says why, in twemproxy's words where it has some."""


@dataclass(frozen=True)
class ListenAt:
    """Where a pool's clients come in."""

    text: str
    host: str
    """Or the path of a unix socket."""
    port: int
    """0 for a unix socket."""
    permissions: int = 0
    """Of a unix socket; 0: those of the umask."""


@dataclass(frozen=True)
class ServerLine:
    """One server of a pool."""

    text: str
    name: str
    """What is hashed: as given, else host:port."""
    host: str
    """Or the path of a unix socket."""
    port: int
    weight: int


@dataclass(frozen=True)
class PoolFile:
    """One pool as it stands in the file, with defaults where it says nothing."""

    name: str
    listen: ListenAt | None = None
    hash: str = "fnv1a_64"
    hash_tag: str = ""
    distribution: str = "ketama"
    timeout: int = -1
    """Milliseconds; -1: none."""
    backlog: int = 512
    client_connections: int = 0
    """0: no limit."""
    redis: bool = False
    tcpkeepalive: bool = False
    reuseport: bool = False
    redis_auth: str = ""
    redis_db: int = 0
    preconnect: bool = False
    auto_eject_hosts: bool = False
    server_connections: int = 1
    server_retry_timeout: int = 30000
    """Milliseconds."""
    server_failure_limit: int = 2
    servers: tuple[ServerLine, ...] = ()
    more: tuple[tuple[str, Any], ...] = field(default=())
    """Directives that twemproxy does not have: (name, value)."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a directive that twemproxy does not have."""
        return dict(self.more).get(name, default)


# ---- one value ----


class Refused(Exception):
    """A value that a directive does not take; the text goes behind the directive's name."""


def number(text: str) -> int:
    """Read digits alone."""
    if not text.isascii() or not text.isdigit():
        raise Refused("is not a number")
    return int(text)


def yes_or_no(text: str) -> bool:
    """Read true or false."""
    if text not in ("true", "false"):
        raise Refused('is not "true" or "false"')
    return text == "true"


def hash_name(text: str) -> str:
    """Read the name of a hash."""
    if text not in key_hashes.NAMES:
        raise Refused("is not a valid hash")
    return text


def distribution_name(text: str) -> str:
    """Read the name of a distribution."""
    if text not in distribution.NAMES:
        raise Refused("is not a valid distribution")
    return text


def tag(text: str) -> str:
    """Read the two characters that enclose the part of a key that is hashed."""
    if len(text.encode()) != 2:
        raise Refused("is not a valid hash tag string with two characters")
    return text


def listen_at(text: str) -> ListenAt:
    """Read "host:port" or "/path [permissions]"."""
    if text.startswith("/"):
        path, _, permissions = text.rpartition(" ") if " " in text else (text, "", "0")
        try:
            mode = int(permissions, 8)
        except ValueError:
            mode = -1
        if not 0 <= mode <= 0o777:
            raise Refused('has an invalid file permission in "socket_path permission" format string')
        return ListenAt(text, path, 0, mode)
    host, colon, port = text.rpartition(":")
    if not colon:
        raise Refused('has an invalid "hostname:port" format string')
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise Refused('has an invalid port in "hostname:port" format string')
    return ListenAt(text, host, int(port))


def server_line(text: str) -> ServerLine:
    """Read "host:port:weight [name]" or "/path:weight [name]"."""
    shape = 'has an invalid "hostname:port:weight [name]"or "/path/unix_socket:weight [name]" format string'
    words, _, name = text.rpartition(" ") if " " in text else (text, "", "")
    port_text = ""
    if text.startswith("/"):
        host, colon, weight_text = words.rpartition(":")
        if not colon:
            raise Refused(shape)
    else:
        if words.count(":") < 2:
            raise Refused(shape)
        host, port_text, weight_text = words.rsplit(":", 2)
    if not weight_text.isascii() or not weight_text.isdigit():
        raise Refused('has an invalid weight in "hostname:port:weight [name]" format string')
    weight = int(weight_text)
    if weight == 0:
        raise Refused('has a zero weight in "hostname:port:weight [name]" format string')
    port = 0
    if not text.startswith("/"):
        if not port_text.isascii() or not port_text.isdigit() or not 1 <= int(port_text) <= 65535:
            raise Refused('has an invalid port in "hostname:port:weight [name]" format string')
        port = int(port_text)
    if not name:
        name = host if port == KETAMA_PORT or not port else f"{host}:{port_text}"
    return ServerLine(words, name, host, port, weight)


@dataclass(frozen=True)
class Directive:
    """One line that a pool may have."""

    read: Callable[[str], Any]
    is_list: bool = False
    """A sequence of values; else one."""


DIRECTIVES: dict[str, Directive] = {
    "listen": Directive(listen_at),
    "hash": Directive(hash_name),
    "hash_tag": Directive(tag),
    "distribution": Directive(distribution_name),
    "timeout": Directive(number),
    "backlog": Directive(number),
    "client_connections": Directive(number),
    "redis": Directive(yes_or_no),
    "tcpkeepalive": Directive(yes_or_no),
    "reuseport": Directive(yes_or_no),
    "redis_auth": Directive(str),
    "redis_db": Directive(number),
    "preconnect": Directive(yes_or_no),
    "auto_eject_hosts": Directive(yes_or_no),
    "server_connections": Directive(number),
    "server_retry_timeout": Directive(number),
    "server_failure_limit": Directive(number),
    "servers": Directive(server_line, is_list=True),
}
"""What twemproxy knows; each is also a field of `PoolFile`."""

FURTHER: dict[str, Directive] = {}
"""What it does not know: these go to `PoolFile.more`, and with them `servers` may be missing."""


# ---- the file ----


def events_of(text: str) -> Iterator[tuple[str, str, list[str] | str]]:
    """Yield (pool, directive, value or values) in the file's order; `BadFile` for what twemproxy refuses."""
    import yaml

    refused = {
        "DirectiveToken": "version directive", "DocumentStartToken": "document start",
        "DocumentEndToken": "document end", "FlowSequenceStartToken": "flow sequence start",
        "FlowSequenceEndToken": "flow sequence end", "FlowMappingStartToken": "flow mapping start",
        "FlowMappingEndToken": "flow mapping end", "FlowEntryToken": "flow entry", "AliasToken": "alias",
        "AnchorToken": "anchor", "TagToken": "tag",
    }  # fmt: skip
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if (kind := refused.get(type(token).__name__)) is not None:
                raise BadFile(f"{kind} token is disallowed, line {token.start_mark.line + 1}")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise BadFile(" ".join(str(error).split())) from None
    if root is None:
        raise BadFile("the file has no pools")
    if not isinstance(root, yaml.MappingNode):
        raise BadFile('invalid empty "key:" at depth 0')
    for name, pool in root.value:
        if not isinstance(name, yaml.ScalarNode) or not isinstance(pool, yaml.MappingNode):
            raise BadFile(f'invalid mapping "key:" at depth 1, line {name.start_mark.line + 1}')
        yield name.value, "", ""
        for key, value in pool.value:
            place = f"line {key.start_mark.line + 1}"
            if isinstance(value, yaml.ScalarNode):
                if value.value == "":
                    raise BadFile(f'directive "{key.value}" has no value, {place}')
                yield name.value, key.value, value.value
            elif isinstance(value, yaml.SequenceNode):
                if not all(isinstance(each, yaml.ScalarNode) for each in value.value):
                    raise BadFile(f"depth greater than 2, {place}")
                yield name.value, key.value, [each.value for each in value.value]
            else:
                raise BadFile(f"depth greater than 2, {place}")


def read(text: str) -> list[PoolFile]:
    """Read the file; pools come in twemproxy's order. `BadFile` says what is wrong."""
    found: list[tuple[str, dict[str, Any]]] = []
    for pool, name, value in events_of(text):
        if not name:
            if any(pool == other for other, _ in found):
                raise BadFile(f"pools with same name '{pool}'")
            found.append((pool, {}))
            continue
        values = found[-1][1]
        directive = DIRECTIVES.get(name) or FURTHER.get(name)
        if directive is None:
            raise BadFile(f'directive "{name}" is unknown')
        if name in values:
            raise BadFile(f'directive "{name}" is a duplicate')
        try:
            if directive.is_list:
                words = value if isinstance(value, list) else [value]
                values[name] = tuple(directive.read(each) for each in words)
            elif isinstance(value, list):
                raise Refused("is not a list")
            else:
                values[name] = directive.read(value)
        except Refused as why:
            raise BadFile(f'directive "{name}" {why}') from None
    pools = [_checked(name, values) for name, values in found]
    if not pools:
        raise BadFile("the file has no pools")
    addresses: dict[str, str] = {}
    for each in pools:
        assert each.listen is not None
        other = addresses.setdefault(each.listen.text, each.name)
        if other != each.name:
            raise BadFile(
                f"pools '{other}' and '{each.name}' have the same listen address '{each.listen.text}'"
            )
    return sorted(pools, key=lambda each: _order(each.name))


def _order(name: str) -> tuple[int, bytes]:
    """Names stand by their length first, as twemproxy compares them."""
    text = name.encode()
    return len(text), text


def _checked(name: str, values: dict[str, Any]) -> PoolFile:
    pool = PoolFile(name, **{key: value for key, value in values.items() if key in DIRECTIVES})
    pool = replace(pool, more=tuple((key, value) for key, value in values.items() if key in FURTHER))
    if pool.listen is None:
        raise BadFile('directive "listen:" is missing')
    if pool.server_connections == 0:
        raise BadFile('directive "server_connections:" cannot be 0')
    if not pool.redis and not pool.more:
        if pool.redis_auth:
            raise BadFile('directive "redis_auth:" is only valid for a redis pool')
        raise BadFile(f"pool '{name}' speaks memcached: only pools with \"redis: true\" can be served")
    if not pool.servers and not pool.more:
        raise BadFile(f"pool '{name}' has no servers")
    servers = sorted(pool.servers, key=lambda each: _order(each.name))
    for first, second in zip(servers, servers[1:]):
        if first.name == second.name:
            raise BadFile(f"pool '{name}' has servers with same name '{first.name}'")
    return replace(pool, servers=tuple(servers))
