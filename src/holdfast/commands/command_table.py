"""COMMAND: what the server says of its commands (https://redis.io/commands/command/).

The index of the family is `register`. Everything comes from the specifications
and `facts.py`; the replies have the structure that redis-cli and client
libraries read. Not here: which commands exist, which the engine's table knows.
"""

from __future__ import annotations

from typing import Any

from holdfast.commands.facts import categories_of, facts_of, has_movable_keys, key_specs_of, tips_of
from holdfast.commands.help import help_command
from holdfast.commands.key_positions import keys_of
from holdfast.commands.spec import FLAGS, Spec
from holdfast.engine.glob import matches
from holdfast.engine.registry import add_function, command_names, specification
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import CommandError, OrderedSet, Pairs, Status

HIDDEN_FLAGS = frozenset(
    ("may_replicate", "protected", "touches_arbitrary_keys", "transaction", "container", "only_sentinel")
)
HELP = (
    "(no subcommand)",
    "    Describe all commands.",
    "COUNT",
    "    Tell how many commands there are.",
    "LIST",
    "    List the names of all commands.",
    "INFO [<command-name> ...]",
    "    Describe the given commands, or all.",
    "DOCS [<command-name> ...]",
    "    Document the given commands, or all.",
    "GETKEYS <full-command>",
    "    Find the keys in a whole command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Find the keys in a whole command, and how it uses them.",
)

Args = list[bytes]


def command(session: Session, args: Args) -> object:
    """COMMAND: all of COMMAND INFO."""
    return [command_info(session.engine, name) for name in top_level(session.engine)]


def count(session: Session, args: Args) -> object:
    """COMMAND COUNT."""
    return len(top_level(session.engine))


def info(session: Session, args: Args) -> object:
    """COMMAND INFO [name ...]."""
    names = [_name(each) for each in args[2:]] or top_level(session.engine)
    return [command_info(session.engine, name) for name in names]


def docs(session: Session, args: Args) -> object:
    """COMMAND DOCS [name ...]."""
    engine = session.engine
    names = [_name(each) for each in args[2:]] or top_level(engine)
    return Pairs([(name, command_docs(engine, name)) for name in names if specification(engine, name)])


def list_(session: Session, args: Args) -> object:
    """COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]."""
    names = command_names(session.engine)
    if len(args) == 2:
        return list(names)
    if len(args) != 5 or args[2].lower() != b"filterby":
        raise CommandError("ERR syntax error")
    how, wanted = args[3].lower(), args[4]
    if how == b"module":
        return []
    if how == b"aclcat":
        category = _name(wanted)
        return [name for name in names if in_category(session.engine, name, category)]
    if how == b"pattern":
        return [name for name in names if matches(wanted, name.encode(), True)]
    raise CommandError("ERR syntax error")


def get_keys(session: Session, args: Args) -> object:
    """COMMAND GETKEYS command [argument ...]."""
    return [args[2 + position] for position, _ in _keys_in(session.engine, args[2:])]


def get_keys_and_flags(session: Session, args: Args) -> object:
    """COMMAND GETKEYSANDFLAGS command [argument ...]."""
    found = _keys_in(session.engine, args[2:])
    return [[args[2 + position], _set(flags)] for position, flags in found]


def _keys_in(engine: Engine, call: Args) -> list[tuple[int, list[str]]]:
    spec = specification(engine, _name(call[0])) if b"|" not in call[0] else None
    if spec is not None and "container" in spec.flag_names and len(call) > 1:
        spec = specification(engine, f"{_name(call[0])}|{_name(call[1])}") or spec
    if spec is None:
        raise CommandError("ERR Invalid command specified")
    if not key_specs_of(spec):
        raise CommandError("ERR The command has no key arguments")
    if len(call) != spec.arity if spec.arity > 0 else len(call) < -spec.arity:
        raise CommandError("ERR Invalid number of arguments specified for command")
    found = keys_of(spec, call)
    if not found:
        if found is not None and "no_mandatory_keys" in spec.flag_names:
            return []
        raise CommandError("ERR Invalid arguments specified for command")
    return found


def _name(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape").lower()


def in_category(engine: Engine, name: str, category: str) -> bool:
    """Tell whether a command is in an ACL category."""
    spec = specification(engine, name)
    return spec is not None and category in categories_of(spec)


def top_level(engine: Engine) -> list[str]:
    """Return the names of commands that are no sub-commands."""
    return [name for name in command_names(engine) if "|" not in name]


def subcommands(engine: Engine, name: str) -> list[str]:
    """Return the full names of a container's sub-commands."""
    return [each for each in command_names(engine) if each.startswith(f"{name}|")]


def shown_flags(spec: Spec) -> list[str]:
    """Return the flags as COMMAND INFO orders and shows them."""
    names = set(spec.flag_names) - HIDDEN_FLAGS
    if has_movable_keys(spec):
        names.add("movablekeys")
    else:
        names.discard("movablekeys")
    return [name for name in FLAGS if name in names]


def command_info(engine: Engine, name: str) -> list[object] | None:
    """Return the ten facts of COMMAND INFO; None when there is no such command."""
    spec = specification(engine, name)
    if spec is None:
        return None
    first, last, step = spec.keys
    return [
        spec.name.encode(),
        spec.arity,
        _set(shown_flags(spec)),
        first,
        last,
        step,
        _set([f"@{category}" for category in categories_of(spec)]),
        OrderedSet(tips_of(spec)),
        OrderedSet(_key_spec(each) for each in key_specs_of(spec)),
        [command_info(engine, each) for each in subcommands(engine, name)] or OrderedSet(),
    ]


def command_docs(engine: Engine, name: str) -> Pairs:
    """Return the documentation of a command as a map."""
    spec = specification(engine, name)
    assert spec is not None, name
    facts = facts_of(name)
    docs = Pairs()
    if spec.summary:
        docs.append((b"summary", spec.summary))
    docs.append((b"since", spec.since))
    docs.append((b"group", spec.group.replace("_", "-")))
    if spec.complexity:
        docs.append((b"complexity", spec.complexity))
    if facts.get("documentation_flags"):
        docs.append((b"doc_flags", _set(facts["documentation_flags"])))
    for key in ("deprecated_since", "replaced_by"):
        if key in facts:
            docs.append((key, facts[key]))
    if facts.get("arguments"):
        docs.append((b"arguments", [_argument(each) for each in facts["arguments"]]))
    below = subcommands(engine, name)
    if below:
        docs.append((b"subcommands", Pairs([(each, command_docs(engine, each)) for each in below])))
    return docs


def _argument(facts: dict[str, Any]) -> Pairs:
    shown = Pairs([(b"name", facts["name"]), (b"type", facts["type"])])
    below = facts.get("arguments")
    if below is None:
        shown.append((b"display_text", facts.get("display", facts["name"])))
    for key in ("key_spec_index", "token", "since", "deprecated_since"):
        if key in facts:
            shown.append((key, facts[key]))
    if facts.get("flags"):
        shown.append((b"flags", _set(facts["flags"])))
    if below is not None:
        shown.append((b"arguments", [_argument(each) for each in below]))
    return shown


def _set(names: list[str]) -> OrderedSet:
    return OrderedSet(Status(name) for name in names)


def _key_spec(spec: dict[str, Any]) -> Pairs:
    shown = Pairs()
    if "notes" in spec:
        shown.append((b"notes", spec["notes"]))
    shown.append((b"flags", _set(spec["flags"])))
    for key, name in (("begin", b"begin_search"), ("find", b"find_keys")):
        kind, where = spec[key]
        shown.append((name, Pairs([(b"type", kind), (b"spec", Pairs(where.items()))])))
    return shown


def register(engine: Engine) -> None:
    """The index of the family."""
    add_function(
        engine,
        Spec(
            "command",
            -1,
            "loading stale container",
            group="server",
            since="2.8.13",
            categories="connection",
            summary="Describe all commands.",
            complexity="O(N) with N the number of commands",
        ),
        command,
    )
    for name, arity, since, function, summary, complexity in (
        ("count", 2, "2.8.13", count, "Count the commands.", "O(1)"),
        ("docs", -2, "7.0.0", docs, "Document commands.", "O(N) with N the number of names"),
        ("getkeys", -3, "2.8.13", get_keys, "Find the keys in a command.", "O(N) with N arguments"),
        (
            "getkeysandflags",
            -3,
            "7.0.0",
            get_keys_and_flags,
            "Find the keys in a command and their use.",
            "O(N) with N arguments",
        ),
        ("info", -2, "2.8.13", info, "Describe commands.", "O(N) with N the number of names"),
        ("list", -2, "7.0.0", list_, "List the names of commands.", "O(N) with N the number of commands"),
        ("help", 2, "5.0.0", help_command("COMMAND", HELP), "Show help on COMMAND.", "O(1)"),
    ):
        add_function(
            engine,
            Spec(
                f"command|{name}",
                arity,
                "loading stale",
                group="server",
                since=since,
                categories="connection",
                summary=summary,
                complexity=complexity,
            ),
            function,
        )
