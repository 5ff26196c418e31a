"""The agent's file: TOML, one table an address.

    status = "127.0.0.1:26500"          # where `holdfast vip status` asks

    [[address]]
    name = "cache"                      # what voters know it as; the same on every host
    addresses = ["10.0.0.100/24", "fd00::100/64"]
    interface = "eth0"
    follow = "primary"                  # or "proxy"
    primary-name = "mymaster"
    server = "10.0.0.1:6379"            # the one of this host, as Sentinel names it
    sentinels = ["10.0.0.1:26379", "10.0.0.2:26379", "10.0.0.3:26379"]

What it is: text in, checked values out. What it is not: reading the file.

How to read it: `read_settings`; the fields of `AddressSettings` are the reference.
"""

from __future__ import annotations

import ipaddress
import tomllib
from dataclasses import dataclass, fields

from holdfast.server.address_lease import LEASE_MS_MAX, LEASE_MS_MIN

Endpoint = tuple[str, int]
VOTERS_MIN = 3
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class BadSettings(ValueError):
    """The file cannot be used; says where and what to write instead."""


@dataclass(frozen=True, slots=True)
class AddressSettings:
    """One virtual address (or several that go together) on this host."""

    name: str
    addresses: tuple[Interface, ...]
    interface: str
    sentinels: tuple[Endpoint, ...]
    server: Endpoint
    """The local server that must answer: the data node, or the proxy."""
    follow: str = "primary"
    """"primary": be where the Sentinels say that the primary is; "proxy": where a proxy lives."""
    primary_name: str = "mymaster"
    lease_ms: int = 1000
    """How long a stopped host keeps the address; raised to 1500 where the kernel has no nf_tables."""
    check_ms: int = 50
    """Between two PINGs to the local server."""
    server_down_after_ms: int = 1000
    """How long it may leave a PING unanswered; a refused or broken connection counts at once."""
    server_user: str = ""
    server_password: str = ""
    sentinel_user: str = ""
    sentinel_password: str = ""
    before_acquire: tuple[str, ...] = ()
    """Command, run before the address is added; an exit other than 0 or hook_timeout_ms stops it."""
    after_acquire: tuple[str, ...] = ()
    after_release: tuple[str, ...] = ()
    hook_timeout_ms: int = 1000


@dataclass(frozen=True, slots=True)
class Settings:
    """One agent."""

    addresses: tuple[AddressSettings, ...]
    status: Endpoint | None = None


def read_settings(text: str, source: str) -> Settings:
    """Read a file. Raises BadSettings with the source's name and the place in it."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{source}: {error}") from None
    tables = document.pop("address", None)
    status = document.pop("status", None)
    if document:
        raise BadSettings(f"{source}: unknown setting '{next(iter(document))}'")
    if not isinstance(tables, list) or not tables:
        raise BadSettings(f"{source}: no [[address]] table")
    found = tuple(_address(each, f"{source}: address {place}") for place, each in enumerate(tables, 1))
    names = [each.name for each in found]
    if len(set(names)) < len(names):
        raise BadSettings(f"{source}: two addresses have one name")
    return Settings(found, None if status is None else _endpoint(status, f"{source}: status"))


def _address(table: object, place: str) -> AddressSettings:
    if not isinstance(table, dict):
        raise BadSettings(f"{place}: not a table")
    known = {each.name.replace("_", "-"): each for each in fields(AddressSettings)}
    values: dict[str, object] = {}
    for key, value in table.items():
        if key not in known:
            raise BadSettings(f"{place}: unknown setting '{key}'")
        values[known[key].name] = _value(known[key].name, value, f"{place}: {key}")
    for needed in ("name", "addresses", "interface", "sentinels", "server"):
        if needed not in values:
            raise BadSettings(f"{place}: '{needed}' is missing")
    settings = AddressSettings(**values)  # type: ignore[arg-type]
    if settings.follow not in ("primary", "proxy"):
        raise BadSettings(f'{place}: follow is "primary" or "proxy"')
    if len(set(settings.sentinels)) < VOTERS_MIN:
        raise BadSettings(f"{place}: an address needs {VOTERS_MIN} Sentinels or more, each named once")
    if not LEASE_MS_MIN <= settings.lease_ms <= LEASE_MS_MAX:
        raise BadSettings(f"{place}: lease-ms is {LEASE_MS_MIN} to {LEASE_MS_MAX}")
    return settings


def _value(name: str, value: object, place: str) -> object:
    match name:
        case "addresses":
            return tuple(_interface(each, place) for each in _texts(value, place))
        case "sentinels":
            return tuple(_endpoint(each, place) for each in _texts(value, place))
        case "server":
            return _endpoint(value, place)
        case "before_acquire" | "after_acquire" | "after_release":
            return tuple(_texts(value, place))
    if name.endswith("_ms"):
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise BadSettings(f"{place}: a number of milliseconds")
    elif not isinstance(value, str):
        raise BadSettings(f"{place}: a text")
    return value


def _texts(value: object, place: str) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise BadSettings(f"{place}: a list of texts")
    return value


def _interface(text: str, place: str) -> Interface:
    try:
        return ipaddress.ip_interface(text)
    except ValueError:
        raise BadSettings(f"{place}: '{text}' is no address with prefix, such as 10.0.0.100/24") from None


def _endpoint(value: object, place: str) -> Endpoint:
    host, _, port = str(value).rpartition(":")
    if not isinstance(value, str) or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise BadSettings(f"{place}: '{value}' is no host:port")
    return host.strip("[]"), int(port)
