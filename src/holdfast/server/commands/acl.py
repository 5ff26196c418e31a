"""ACL, as far as there is one user: who am I, which categories exist, what may `default` do.

Other users and their rules come later; what would need them says so. The index of
the family is `register`.
"""

from __future__ import annotations

from holdfast.commands.command_table import in_category
from holdfast.commands.help import help_command
from holdfast.commands.spec import CATEGORIES, Spec
from holdfast.engine.registry import add_container, add_function, command_names
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
    for name, arity, flags, function, summary in (
        ("cat", -2, "noscript loading stale", cat, "List categories of commands."),
        ("getuser", 3, "admin noscript loading stale", get_user, "Describe a user."),
        ("help", 2, "loading stale", help_command("ACL", HELP), "Show help on ACL."),
        ("list", 2, "admin noscript loading stale", list_, "List users with their rules."),
        ("users", 2, "admin noscript loading stale", users, "List the names of users."),
        ("whoami", 2, "noscript loading stale", who_am_i, "Tell the user of this connection."),
    ):
        spec = Spec(
            f"acl|{name}", arity, flags, group="server", since="6.0.0", summary=summary, complexity="O(1)"
        )
        add_function(engine, spec, function)
