"""Write the pages that list what there is: `docs/configuration.md` and `docs/commands.md`.

`python tools/reference_pages.py` writes them, `--check` only tells whether they are
current (tests/test_repository.py asks). They come from the tables that the server
itself reads: the directives in `holdfast.server.config.table`, and the `Spec` beside
each handler. So a page cannot promise what the code does not know.

How to read it: `configuration_page` and `commands_page` return a page as text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from holdfast.commands import declare_all
from holdfast.commands.spec import Spec
from holdfast.engine.registry import command_names, specification
from holdfast.engine.state import Engine
from holdfast.server.commands import declare_server_commands
from holdfast.server.config.directive import Directive
from holdfast.server.config.table import (
    acknowledgement,
    cluster,
    limits,
    network,
    persistence,
    process,
    replication,
    tls,
    values,
)

DOCS = Path(__file__).resolve().parent.parent / "docs"

AREAS: tuple[tuple[str, Sequence[Directive]], ...] = (
    ("Network and clients", network.DIRECTIVES),
    ("Process, log and tasks", process.DIRECTIVES),
    ("Limits and memory", limits.DIRECTIVES),
    ("Forms of values", values.DIRECTIVES),
    ("Persistence", persistence.DIRECTIVES),
    ("Replication", replication.DIRECTIVES),
    ("Acknowledged writes (Holdfast's own)", acknowledgement.DIRECTIVES),
    ("Cluster", cluster.DIRECTIVES),
    ("TLS", tls.DIRECTIVES),
)

GROUPS = (
    ("generic", "Keys"),
    ("string", "Strings"),
    ("bitmap", "Bits"),
    ("list", "Lists"),
    ("hash", "Hashes"),
    ("set", "Sets"),
    ("sorted_set", "Sorted sets"),
    ("transactions", "Transactions"),
    ("pubsub", "Publish and subscribe"),
    ("scripting", "Scripts"),
    ("connection", "Connection"),
    ("server", "Server"),
)

WRITTEN_BY = "<!-- Written by tools/reference_pages.py; do not edit. -->\n"

CONFIGURATION_HEAD = """# Configuration

`holdfast-server` reads the redis.conf of Redis 7.2 and takes the same options on the command line. Every
directive is known. It either works, or it is accepted: then the log says once what it means here, and
CONFIG GET shows it. What is not in this list is refused, with file and line. `include`, `user`,
`rename-command` and `loadmodule` stand only in files.

{working} of {every} directives work. *fixed* means that CONFIG SET refuses it: a file or the command line
gives it.
"""

REMARKS = {
    "Acknowledged writes (Holdfast's own)": (
        "What they promise: [acknowledgement.md](acknowledgement.md), and for the lease and the "
        "hand-over [sentinel.md](sentinel.md). `stay-awake-us` promises nothing: "
        "[why](decisions/awake-for-who-comes-at-once.md)."
    ),
    "Cluster": (
        "With `cluster-enabled yes` a node speaks the cluster bus of Redis 7, with stock nodes as with ours: "
        "[cluster.md](cluster.md). `holdfast cluster` makes and changes clusters: "
        "[cluster-jobs.md](cluster-jobs.md)."
    ),
}

COMMANDS_HEAD = """# Commands

{plain} commands, with the arguments, replies and error texts of Redis 7.2, in RESP2 and RESP3. COMMAND
DOCS says the same, with all arguments. *args* counts the name too; -2 means two or more. What a command
means in full is told at https://redis.io/commands/.

Not there yet: streams, geo, HyperLogLog, functions, full ACLs (there is `requirepass` and the default
user), client-side caching. Those of Sentinel are in a process of its own.
"""


def configuration_page() -> str:
    """Return the page of all directives."""
    every = [directive for _, area in AREAS for directive in area]
    working = sum(directive.works for directive in every)
    parts = [WRITTEN_BY, CONFIGURATION_HEAD.format(working=working, every=len(every))]
    for title, area in AREAS:
        parts.append(f"## {title}\n")
        if title in REMARKS:
            parts.append(f"{REMARKS[title]}\n")
        parts += [*table(("directive", "default", "here"), map(directive_row, area)), ""]
    return "\n".join(parts)


def directive_row(directive: Directive) -> tuple[str, str, str]:
    names = " ".join(f"`{name}`" for name in (directive.name, *directive.aliases))
    default = directive.kind.show(directive.default) if directive.default not in (None, "") else ""
    meaning = f"accepted: {directive.accepted}" if directive.accepted else "works"
    return names, f"`{default}`" if default else "", meaning + (", fixed" if directive.immutable else "")


def commands_page() -> str:
    """Return the page of all commands."""
    engine = Engine()
    declare_all(engine)
    declare_server_commands(engine)
    specs = [spec for name in command_names(engine) if (spec := specification(engine, name)) is not None]
    groups = dict(GROUPS)
    for spec in specs:
        groups.setdefault(spec.group, spec.group.capitalize())
    plain = sum("|" not in spec.name for spec in specs)
    parts = [WRITTEN_BY, COMMANDS_HEAD.format(plain=plain)]
    for group, title in groups.items():
        family = sorted((spec for spec in specs if spec.group == group), key=lambda spec: spec.name)
        if family:
            rows = table(("command", "args", "what it does", "cost"), map(command_row, family))
            parts += [f"## {title}\n", *rows, ""]
    return "\n".join(parts)


def command_row(spec: Spec) -> tuple[str, str, str, str]:
    return f"`{spec.name.upper().replace('|', ' ')}`", str(spec.arity), spec.summary, spec.complexity


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def pages() -> dict[Path, str]:
    """Return where each page is and what it should say."""
    return {DOCS / "configuration.md": configuration_page(), DOCS / "commands.md": commands_page()}


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` tell whether they are current."""
    stale = [path for path, page in pages().items() if not path.exists() or path.read_text() != page]
    for path in stale:
        if "--check" in arguments:
            print(f"docs/{path.name} is not current: run `make pages`")
        else:
            path.write_text(pages()[path])
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
