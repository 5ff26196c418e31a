"""Options that the sub-commands of `holdfast cluster` share, and how they are read.

How to read it: `access_options`, `plan_options` and `pace_options` are decorators; `Door` is what
the first of them makes. The `read_…` functions read words that stand in options; what cannot be meant is
refused before anything is asked of a node.
"""

from __future__ import annotations

import math
import shlex
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any

import click

from holdfast.cluster.jobs.keys_at_both import Keep
from holdfast.cluster.jobs.mover import Settings
from holdfast.cluster.jobs.pace import BUDGET_MS
from holdfast.cluster.jobs.remote import Access
from holdfast.cluster.jobs.topology import Picture, read_slots

DONE, UNHEALTHY, CANCELLED, STOPPED, REFUSED = 0, 1, 3, 4, 5
"""Exit codes; 2 is click's, for wrong usage."""

CARRIED = frozenset(
    ("user", "tls", "cacert", "cert", "key", "insecure", "rate", "piece_ms", "patience", "keep")
)
"""Options that a command which goes on needs again."""

Command = Callable[..., Any]


class AddressType(click.ParamType[tuple[str, int]]):
    """host:port."""

    name = "host:port"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Return host and port."""
        if isinstance(value, tuple):
            return value
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            self.fail(f"{value!r} is not host:port", param, ctx)
        return host.strip("[]"), int(port)


ADDRESS = AddressType()


@dataclass(frozen=True)
class Door:
    """How to get in, and how to speak."""

    access: Access
    as_json: bool
    words: str = ""
    """How to get in and how fast to go, as it was said: a command that goes on says it again. No password."""


def access_options(command: Command) -> Command:
    """Add credentials, TLS and --json; the command gets them as `door`."""

    def opened(
        *args: Any, user: str, password: str, tls: bool, cacert: str | None, cert: str | None,
        key: str | None, insecure: bool, as_json: bool, **rest: Any,
    ) -> Any:  # fmt: skip
        context = None
        if tls:
            try:
                context = ssl.create_default_context(cafile=cacert)
                if cert:
                    context.load_cert_chain(cert, key)
            except (OSError, ssl.SSLError) as error:
                raise click.UsageError(f"TLS: {error}") from error
            if insecure:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        words = _said_again(click.get_current_context())
        return command(*args, door=Door(Access(user, password, context), as_json, words), **rest)

    wrapped: Command = update_wrapper(opened, command)
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option("--insecure", is_flag=True, help="Take any certificate."),
        click.option("--key", type=click.Path(dir_okay=False), help="Private key of --cert."),
        click.option("--cert", type=click.Path(dir_okay=False), help="Our certificate."),
        click.option("--cacert", type=click.Path(dir_okay=False), help="Whom we trust."),
        click.option("--tls", is_flag=True, help="Speak TLS."),
        click.option("--password", envvar="REDISCLI_AUTH", default="", show_envvar=True,
                     help="Of every node; better given by the environment."),
        click.option("--user", default="", help="ACL user; none: the default one."),
    ):  # fmt: skip
        wrapped = option(wrapped)
    return wrapped


def plan_options(command: Command) -> Command:
    """Add --dry-run and --yes."""
    command = click.option("--yes", is_flag=True, help="Do not ask whether to begin.")(command)
    return click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")(command)


def pace_options(command: Command) -> Command:
    """Add what says how moves are done; the command gets it as `settings`."""

    def paced(*args: Any, rate: float, piece_ms: float, patience: float, keep: str, **rest: Any) -> Any:
        return command(*args, settings=Settings(patience, rate, piece_ms, Keep(keep)), **rest)

    wrapped: Command = update_wrapper(paced, command)
    for option in (
        click.option("--keep", type=click.Choice([each.value for each in Keep]), default=Keep.ASK.value,
                     help="Of a key that is at both ends with different values, where nobody can know: "
                          "stop and ask (default), or keep the copy at the source or the target."),
        click.option("--patience", type=click.FloatRange(0), default=60.0, show_default=True, metavar="S",
                     help="How long a node may be away before the job stops."),
        click.option("--piece-ms", type=click.FloatRange(0.1), default=BUDGET_MS, show_default=True,
                     metavar="MS", help="How long one piece may hold up a source."),
        click.option("--rate", type=click.FloatRange(0), default=0.0, metavar="KEYS",
                     help="At most so many keys a second (0: as fast as it goes)."),
    ):  # fmt: skip
        wrapped = option(wrapped)
    return wrapped


def each_once(addresses: Iterable[tuple[str, int]]) -> None:
    """Raise click.UsageError where an address is given twice."""
    seen = set()
    for host, port in addresses:
        if (host, port) in seen:
            raise click.UsageError(f"{host}:{port} is given twice")
        seen.add((host, port))


def read_weights(words: tuple[str, ...], name_of: Callable[[str], str]) -> dict[str, float]:
    """Read NODE=WEIGHT words. Raises click.UsageError."""
    weights: dict[str, float] = {}
    for word in words:
        node, equals, weight = word.rpartition("=")
        try:
            if not equals or not node:
                raise ValueError("it is written NODE=WEIGHT")
            name, value = name_of(node), _weight(weight)
            if name in weights:
                raise ValueError("this node has a weight already")
        except (ValueError, LookupError) as error:
            raise click.UsageError(f"--weight {word}: {_text(error)}") from error
        weights[name] = value
    return weights


def _weight(word: str) -> float:
    try:
        weight = float(word)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise ValueError("a weight is a number, 0 or more")
    return weight


def read_wishes(words: tuple[str, ...], picture: Picture) -> dict[int, str]:
    """Read SLOTS=NODE words. Raises click.UsageError."""
    wishes: dict[int, str] = {}
    for word in words:
        slots, _, node = word.partition("=")
        try:
            if not slots or not node:
                raise ValueError("it is written SLOTS=NODE")
            target = primary_named(picture, node)
            for slot in read_slots(slots):
                if wishes.setdefault(slot, target) != target:
                    raise ValueError(f"slot {slot} is to go to two nodes")
        except (ValueError, LookupError) as error:
            raise click.UsageError(f"--move {word}: {_text(error)}") from error
    return wishes


def primary_named(picture: Picture, text: str) -> str:
    """Return the id of a living primary by address, id or its beginning. Raises LookupError."""
    node = picture.find(text)
    if node.id not in {each.id for each in picture.primaries}:
        raise LookupError(f"{node.address} is no living primary")
    return node.id


def _said_again(context: click.Context) -> str:
    """Return the options of this command that the next one needs as well, as words of a shell."""
    words = []
    for option in context.command.params:
        name = option.name or ""
        is_given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if not is_given or name not in CARRIED or not isinstance(option, click.Option):
            continue
        value = context.params[name]
        if name == "keep" and value == Keep.ASK.value:
            continue  # the one that goes on may have to decide
        said = f"{value:g}" if isinstance(value, float) else shlex.quote(str(value))
        words.append(option.opts[0] if option.is_flag else f"{option.opts[0]} {said}")
    return "".join(f" {word}" for word in words)


def _text(error: Exception) -> str:
    return str(error.args[0]) if error.args else str(error)
