"""INFO: sections of fields, each told by whoever knows (https://redis.io/commands/info/).

`InfoSections` holds a callable a section; a part of the node that knows better
replaces it (`node.info.tell("replication", ...)`). Not here: what the fields are
(`info_sections`).

How to read it: `InfoSections.text` is the whole reply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

Fields = Iterable[tuple[str, object]]
Section = Callable[[], Fields]

TITLES = {
    "server": "Server",
    "clients": "Clients",
    "memory": "Memory",
    "persistence": "Persistence",
    "stats": "Stats",
    "replication": "Replication",
    "cpu": "CPU",
    "modules": "Modules",
    "commandstats": "Commandstats",
    "errorstats": "Errorstats",
    "latencystats": "Latencystats",
    "cluster": "Cluster",
    "keyspace": "Keyspace",
    "sentinel": "Sentinel",
    "proxy": "Proxy",
}
"""Every section in the order of the reply, and its title."""

NOT_BY_DEFAULT = frozenset(("commandstats", "latencystats"))
BY_DEFAULT = frozenset(TITLES) - NOT_BY_DEFAULT


class InfoSections:
    """The sections of one node."""

    def __init__(self) -> None:
        self._sections: dict[str, Section] = {}

    def tell(self, name: str, section: Section) -> None:
        """Let `section` be what INFO `name` says; `section()` returns (field, value) pairs in order."""
        assert name in TITLES, name
        self._sections[name] = section

    def fields(self, name: str) -> dict[str, object]:
        """Return the fields of one section."""
        return dict(self._sections[name]())

    def text(self, asked: Iterable[str]) -> str:
        """Return the reply to INFO with these words (none: the default sections)."""
        parts = []
        for name in chosen(asked):
            section = self._sections.get(name)
            if section is None:
                continue
            lines = [f"# {TITLES[name]}\r\n"]
            lines += [f"{field}:{value}\r\n" for field, value in section()]
            parts.append("".join(lines))
        return "\r\n".join(parts)


def chosen(asked: Iterable[str]) -> list[str]:
    """Return the sections that the words of an INFO ask for, in the order of the reply."""
    wanted: set[str] = set()
    none = True
    for word in asked:
        none = False
        name = word.lower()
        if name in ("all", "everything"):
            wanted.update(TITLES)
        elif name == "default":
            wanted.update(BY_DEFAULT)
        elif name == "module_list":
            wanted.add("modules")
        else:
            wanted.add(name)
    if none:
        wanted.update(BY_DEFAULT)
    return [name for name in TITLES if name in wanted]
