"""Write `src/holdfast/commands/facts.json` from a folder of command descriptions.

`python tools/command_facts.py FOLDER` reads the JSON files that Redis 7.2 and its
relatives keep for each command (`src/commands` of their sources) and keeps what
is fact on the wire: arguments, key positions, tips, categories, deprecations.
Summaries are our own and stand in the specifications beside the handlers.

How to read it: `facts_of` says what is kept of one command.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "src" / "holdfast" / "commands" / "facts.json"
LEFT_OUT = {"stream", "geo", "hyperloglog", "sentinel"}
FLAG_ORDER = (
    *("RO", "RW", "OW", "RM", "access", "update", "insert", "delete"),
    *("not_key", "incomplete", "variable_flags"),
)
MORE_TIPS = {"scan": ["response_policy:special"]}
"""What Redis 7.2 says of a command and its relatives' descriptions lack."""


def facts_of(described: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of one command."""
    facts: dict[str, Any] = {
        "categories": [name.lower() for name in described.get("acl_categories", [])],
        "tips": [tip.lower() for tip in described.get("command_tips", [])],
        "keys": [key_spec(spec) for spec in described.get("key_specs", [])],
        "arguments": [argument(each) for each in described.get("arguments", [])],
        "documentation_flags": [flag.lower() for flag in described.get("doc_flags", [])],
    }
    for name in ("deprecated_since", "replaced_by"):
        if name in described:
            facts[name] = described[name]
    return {name: value for name, value in facts.items() if value}


def key_spec(described: dict[str, Any]) -> dict[str, Any]:
    """Return where keys stand, in the words of the wire."""
    flags = {flag if len(flag) == 2 else flag.lower() for flag in described["flags"]}
    spec: dict[str, Any] = {"flags": [flag for flag in FLAG_ORDER if flag in flags]}
    if "notes" in described:
        spec["notes"] = described["notes"]
    kind, where = next(iter(described["begin_search"].items()))
    begin = {"index": lambda: {"index": where["pos"]}, "unknown": dict}
    begin["keyword"] = lambda: {"keyword": where["keyword"], "startfrom": where["startfrom"]}
    spec["begin"] = [kind, begin[kind]()]
    kind, found = next(iter(described["find_keys"].items()))
    find = {"unknown": dict}
    find["range"] = lambda: {"lastkey": found["lastkey"], "keystep": found["step"], "limit": found["limit"]}
    find["keynum"] = lambda: {
        "keynumidx": found["keynumidx"],
        "firstkey": found["firstkey"],
        "keystep": found["step"],
    }
    spec["find"] = [kind, find[kind]()]
    return spec


def argument(described: dict[str, Any]) -> dict[str, Any]:
    """Return one argument of COMMAND DOCS."""
    kept = {"name": described["name"], "type": described["type"]}
    for name in ("display", "key_spec_index", "token", "since", "deprecated_since"):
        if name in described:
            kept[name] = described[name]
    flags = [flag for flag in ("optional", "multiple", "multiple_token") if described.get(flag)]
    if flags:
        kept["flags"] = flags
    if "arguments" in described:
        kept["arguments"] = [argument(each) for each in described["arguments"]]
    return kept


def main(folder: Path) -> None:
    """Write the file."""
    facts = {}
    for path in sorted(folder.glob("*.json")):
        for name, described in json.loads(path.read_text()).items():
            if described["group"] in LEFT_OUT:
                continue
            container = described.get("container")
            full = f"{container}|{name}" if container else name
            kept = facts[full.lower()] = facts_of(described)
            for tip in MORE_TIPS.get(full.lower(), ()):
                if tip not in kept.setdefault("tips", []):
                    kept["tips"].append(tip)
    lines = [
        f"{json.dumps(name)}: {json.dumps(facts[name], separators=(',', ':'))}" for name in sorted(facts)
    ]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
