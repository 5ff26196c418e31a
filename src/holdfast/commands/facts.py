"""What the wire knows of each command beyond its specification: arguments, key positions, tips.

Read from `facts.json` when somebody asks for the first time; nothing here is
needed to serve data. Not here: arity, flags and summaries,
which stand in the `Spec` beside each handler.

How to read it: `facts_of` gives the facts of a command; the functions below it
derive key specifications and categories for commands that the file lacks.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from holdfast.commands.spec import CATEGORIES, KeySpec, Spec


@cache
def _table() -> dict[str, dict[str, Any]]:
    from importlib.resources import files  # costs as much as half of the start

    text = (files("holdfast.commands") / "facts.json").read_text(encoding="utf-8")
    table: dict[str, dict[str, Any]] = json.loads(text)
    return table


def facts_of(name: str) -> dict[str, Any]:
    """Return the facts of a command; empty when there are none."""
    return _table().get(name, {})


def tips_of(spec: Spec) -> tuple[str, ...]:
    """Return the tips for clients and proxies."""
    return spec.tips or tuple(facts_of(spec.name).get("tips", ()))


def categories_of(spec: Spec) -> list[str]:
    """Return the ACL categories in Redis's order."""
    facts = facts_of(spec.name)
    names = set(spec.category_names)
    if facts and spec.group == "generic" and "keyspace" not in facts.get("categories", ()):
        names.discard("keyspace")
    names.update(facts.get("categories", ()))
    return [name for name in CATEGORIES if name in names]


def key_specs_of(spec: Spec) -> list[dict[str, Any]]:
    """Return where the keys of a command stand: dicts of flags, begin, find and perhaps notes."""
    facts = facts_of(spec.name)
    if facts:
        return list(facts.get("keys", ()))
    if spec.key_specs:
        return [_shown(each) for each in spec.key_specs]
    first, last, step = spec.keys
    if not first:
        return []
    access = "RO access" if "readonly" in spec.flag_names else "RW access update"
    return [_shown(KeySpec(access, first, last=last - first if last >= 0 else last, step=step))]


def has_movable_keys(spec: Spec) -> bool:
    """Whether first, last and step do not tell where all keys are."""
    specs = key_specs_of(spec)
    return any(each["begin"][0] != "index" or each["find"][0] != "range" for each in specs)


def _shown(spec: KeySpec) -> dict[str, Any]:
    begin: list[Any]
    if isinstance(spec.begin, int):
        begin = ["index", {"index": spec.begin}]
    else:
        begin = ["keyword", {"keyword": spec.begin, "startfrom": spec.begin_from}]
    find: list[Any]
    if spec.keynum is None:
        find = ["range", {"lastkey": spec.last, "keystep": spec.step, "limit": spec.limit}]
    else:
        find = ["keynum", {"keynumidx": spec.keynum, "firstkey": spec.first, "keystep": spec.step}]
    return {"flags": spec.flags.split(), "begin": begin, "find": find}
