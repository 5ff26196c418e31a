"""holdfast.toml: a deployment as a file, and what is wrong with it, by line.

What it is: the reader, from text to `Deployment`. What it is not: the rules for the values
(`model.problems`), or the disk.

How to read it: `SETTINGS` lists what may stand at the top; `read_deployment` goes through the
tables. Every complaint names file and line, because that is where people have to go.

    port = 6379
    replicas = 2
    engine = "holdfast"            # or "redis", "valkey"

    [options]                      # redis.conf, for every data node
    maxmemory = "1gb"

    [hosts]
    a = "10.0.0.1"
    b = "10.0.0.2"

    [processes.node-1]
    host = "b"
    port = 7000
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from holdfast.ops.model import ClusterShape, Deployment, Engine, Host, Persistence, Place, problems

_HEADER = re.compile(r"\s*\[+\s*([^\]]+?)\s*\]+")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+|\"[^\"]*\")\s*=")


class DeploymentFileError(ValueError):
    """The file cannot be used; the text is `file:line: sentence`, a line for each complaint."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text in quotes")
    return value


def _count(value: object) -> int:
    if type(value) is not int:
        raise ValueError("must be a whole number")
    return value


def _switch(value: object) -> bool:
    if type(value) is not bool:
        raise ValueError("must be true or false")
    return value


def _engine(value: object) -> Engine:
    try:
        return Engine(value)
    except ValueError:
        raise ValueError(f"must be one of {', '.join(repr(each.value) for each in Engine)}") from None


def _persistence(value: object) -> Persistence:
    try:
        return Persistence(value)
    except ValueError:
        raise ValueError(f"must be one of {', '.join(repr(each.value) for each in Persistence)}") from None


def _cluster(value: object) -> ClusterShape:
    return ClusterShape.parse(_text(value))


SETTINGS: dict[str, tuple[str, Callable[[object], object]]] = {
    "name": ("name", _text),
    "engine": ("engine", _engine),
    "port": ("port", _count),
    "data": ("data", _text),
    "password": ("password", _text),
    "replicas": ("replicas", _count),
    "sentinels": ("sentinels", _count),
    "cluster": ("cluster", _cluster),
    "proxy": ("proxy", _switch),
    "persistence": ("persistence", _persistence),
    "down-after-ms": ("down_after_ms", _count),
    "min-replicas-to-ack": ("min_replicas_to_ack", _count),
}
"""Setting: (field of `Deployment`, its reader)."""
TABLES = ("options", "hosts", "processes")


def read_deployment(text: str, path: str = "holdfast.toml") -> Deployment:
    """Read a file's text. Raises `DeploymentFileError`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        reason = str(error).partition(" (at")[0]
        raise DeploymentFileError(f"{path}:{found[1] if found else 1}: {reason}") from None
    lines = line_numbers(text)
    complaints: list[tuple[int, str]] = []

    def complain(setting: str, sentence: str) -> None:
        complaints.append((lines.get(setting, 1), f"{setting}: {sentence}"))

    fields: dict[str, Any] = {}
    for name, value in document.items():
        if name in TABLES:
            continue
        if name not in SETTINGS:
            complain(name, f"no such setting; there are {', '.join((*SETTINGS, *TABLES))}")
            continue
        field, read = SETTINGS[name]
        try:
            fields[field] = read(value)
        except ValueError as error:
            complain(name, str(error))
    deployment = Deployment(**fields)
    deployment = _with_options(deployment, document, complain)
    deployment = _with_hosts(deployment, document, complain)
    deployment = _with_places(deployment, document, complain)
    if not complaints:
        for setting, sentence in problems(deployment):
            complain(setting, sentence)
    if complaints:
        raise DeploymentFileError("\n".join(f"{path}:{line}: {text}" for line, text in sorted(complaints)))
    return deployment


Complain = Callable[[str, str], None]


def _table(document: Mapping[str, object], name: str, complain: Complain) -> dict[str, object]:
    table = document.get(name, {})
    if isinstance(table, dict):
        return table
    complain(name, f"must be a table: [{name}]")
    return {}


def _with_options(deployment: Deployment, document: Mapping[str, object], complain: Complain) -> Deployment:
    options = []
    for name, value in _table(document, "options", complain).items():
        if isinstance(value, bool):
            value = "yes" if value else "no"
        if isinstance(value, (str, int)):
            options.append((name, str(value)))
        else:
            complain(f"options.{name}", "must be a text, a whole number, true or false")
        if name in ("port", "bind", "dir", "replicaof", "requirepass", "masterauth", "daemonize"):
            complain(f"options.{name}", "is set by the deployment itself")
    return replace(deployment, options=tuple(options))


def _with_hosts(deployment: Deployment, document: Mapping[str, object], complain: Complain) -> Deployment:
    hosts = []
    for name, value in _table(document, "hosts", complain).items():
        if isinstance(value, str):
            hosts.append(Host(name, value))
        elif isinstance(value, dict) and isinstance(value.get("address"), str):
            unknown = set(value) - {"address", "namespace"}
            if unknown:
                complain(f"hosts.{name}", f"no such setting: {', '.join(sorted(unknown))}")
            hosts.append(Host(name, value["address"], str(value.get("namespace", ""))))
        else:
            complain(f"hosts.{name}", 'must be an address in quotes, such as "10.0.0.1"')
    return replace(deployment, hosts=tuple(hosts)) if hosts else deployment


def _with_places(deployment: Deployment, document: Mapping[str, object], complain: Complain) -> Deployment:
    places = []
    for name, value in _table(document, "processes", complain).items():
        if not isinstance(value, dict) or set(value) - {"host", "port"}:
            complain(f"processes.{name}", "must be a table with host and port")
            continue
        try:
            places.append((name, Place(_text(value.get("host", "")), _count(value.get("port", 0)))))
        except ValueError as error:
            complain(f"processes.{name}", str(error))
    return replace(deployment, places=tuple(places))


def line_numbers(text: str) -> dict[str, int]:
    """Return where each key stands, as `table.key`, and where each table begins."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = header[1].replace('"', "")
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            name = key[1].strip('"')
            found.setdefault(f"{table}.{name}" if table else name, number)
    return found
