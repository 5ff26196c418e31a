"""ACL, as far as there is one user: who am I, which categories exist, what may `default` do.

Other users and their rules come later; what would need them says so. The index of
the family is `register`.
"""

from __future__ import annotations

from holdfast.commands.command_table import in_category
from holdfast.commands.help import help_command
from holdfast.commands.spec import CATEGORIES, Spec
from holdfast.commands.subcommands import Row, add_subcommands
from holdfast.engine.registry import add_container, command_names
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import CommandError, OrderedSet, Pairs
from holdfast.server.commands.words import Args, text
from holdfast.server.node import node_of

HELP = (
    "CAT [<category>]",
    "    List the categories, or the commands of one.",
    "GETUSER <username>",
    "    Describe a user.",
    "LIST",
    "    List users with their rules.",
    "USERS",
    "    List the names of users.",
    "WHOAMI",
    "    Tell the user of this connection.",
)


def who_am_i(session: Session, args: Args) -> object:
    """ACL WHOAMI."""
    return session.user


def cat(session: Session, args: Args) -> object:
    """ACL CAT [category]."""
    if len(args) == 2:
        return [name.encode() for name in CATEGORIES]
    wanted = text(args[2]).lower()
    if len(args) > 3 or wanted not in CATEGORIES:
        raise CommandError(f"ERR Unknown category '{text(args[2])}'")
    engine = session.engine
    return [name for name in command_names(engine) if in_category(engine, name, wanted)]


def list_(session: Session, args: Args) -> object:
    """ACL LIST."""
    return [f"user default {node_of(session).configuration.default_user.describe()}"]


def users(session: Session, args: Args) -> object:
    """ACL USERS."""
    return [b"default"]


def get_user(session: Session, args: Args) -> object:
    """ACL GETUSER username."""
    if args[2] != b"default":
        return None
    user = node_of(session).configuration.default_user
    flags = ["on" if user.enabled else "off", *(["nopass"] if user.nopass else []), "sanitize-payload"]
    return Pairs(
        [
            (b"flags", OrderedSet(flags)),
            (b"passwords", sorted(user.hashes)),
            (b"commands", b"+@all"),
            (b"keys", b"~*"),
            (b"channels", b"&*"),
            (b"selectors", []),
        ]
    )


def register(engine: Engine) -> None:
    """The index of the family."""
    add_container(
        engine, Spec("acl", -2, "container", group="server", since="6.0.0", summary="Users and rights.")
    )
    admin, anybody = "admin noscript loading stale", "noscript loading stale"
    index: tuple[Row, ...] = (
        ("cat", -2, anybody, "6.0.0", cat, "List categories of commands.", "O(1)"),
        ("getuser", 3, admin, "6.0.0", get_user, "Describe a user.", "O(1)"),
        ("help", 2, "loading stale", "6.0.0", help_command("ACL", HELP), "Show help on ACL.", "O(1)"),
        ("list", 2, admin, "6.0.0", list_, "List users with their rules.", "O(1)"),
        ("users", 2, admin, "6.0.0", users, "List the names of users.", "O(1)"),
        ("whoami", 2, anybody, "6.0.0", who_am_i, "Tell the user of this connection.", "O(1)"),
    )
    add_subcommands(engine, "acl", index, group="server")
