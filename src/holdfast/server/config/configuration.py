"""The configuration of one node: typed values, CONFIG GET and CONFIG SET.

Values are read as `configuration["maxmemory"]` or `configuration.maxmemory`
(hyphens as underscores); they are bools, ints, texts and the tuples of
`lists.py`. Who must follow a value at once (the engine's hot fields, the
listening sockets) subscribes with `on_change`.

Not here: the wire (the CONFIG command turns bytes to text and errors to
replies), the grammar of files (`reader.py`), REWRITE (`rewrite.py`).

Texts are `str` with surrogateescape, see `words.py`.

How to read it: reading values first, then `set_all`, which is the whole of
CONFIG SET: find, validate, set, apply, or leave everything as it was.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from holdfast.server.config.default_user import DefaultUser
from holdfast.server.config.directive import Directive
from holdfast.server.config.kinds import BadValue
from holdfast.server.config.lists import Directory
from holdfast.server.config.pattern import has_wildcard, matches
from holdfast.server.config.table import BY_NAME, DIRECTIVES
from holdfast.server.config.words import lowered

if TYPE_CHECKING:
    from holdfast.server.host import Disk

LOADING = "LOADING Redis is loading the dataset in memory"
SYNTAX_ERROR = "ERR syntax error"

Applier = Callable[["Configuration"], None]
"""Follows changed values; raises `Refused` with a sentence for the client to undo them all."""


class Refused(Exception):
    """An applier cannot follow. The text is sent to the client."""


class ConfigSetError(Exception):
    """CONFIG SET changed nothing. The text is the whole error reply without its minus sign."""


class Notice:
    """Something that is to be logged once: `level` is a loglevel's name."""

    __slots__ = ("level", "text")

    def __init__(self, level: str, text: str) -> None:
        self.level, self.text = level, text


class Renaming:
    """A `rename-command` line; an empty `new_name` takes the command away."""

    __slots__ = ("line", "new_name", "old_name")

    def __init__(self, old_name: str, new_name: str, line: str) -> None:
        self.old_name, self.new_name, self.line = old_name, new_name, line


class Configuration:
    """All settings of one node.

    - A value in `_values` has been validated by its directive's kind.
    - `dir` is an absolute path.
    - Between two calls every applier has seen the values as they are.
    """

    def __init__(self, disk: Disk, directory: str) -> None:
        """Start with all defaults; `directory` is the absolute path where the process stands."""
        self.disk = disk
        self.config_file = ""
        """Absolute path of the file that CONFIG REWRITE rewrites; "" for none."""
        self.default_user = DefaultUser()
        self.renamed_commands: list[Renaming] = []
        self._values: dict[str, Any] = {directive.name: directive.default for directive in DIRECTIVES}
        self._values["dir"] = posixpath.normpath(directory)
        self._appliers: list[tuple[frozenset[str], Applier]] = []
        self._notices: list[Notice] = []
        self._told: set[str] = set()
        self.on_change(("requirepass",), _follow_password)

    # Reading.

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            values = self._values
            value = values.get(name.replace("_", "-"), values.get(name, self))
            if value is not self:
                return value
        raise AttributeError(f"no directive is called {name}")

    def path(self, name: str) -> str:
        """Return the file that a directive names, absolute below `dir`; "" when it names none."""
        value = self._values[name]
        return posixpath.join(self._values["dir"], value) if value else ""

    def show(self, name: str) -> str:
        """Return a value as CONFIG GET shows it; `name` may be an alias. Raises `KeyError`."""
        directive = BY_NAME[name]
        return directive.kind.show(self._values[directive.name])

    def matching(self, patterns: Iterable[str]) -> list[tuple[str, str]]:
        """Answer CONFIG GET: names (aliases too) and shown values that match any pattern."""
        found: dict[str, tuple[str, str]] = {}
        for pattern in patterns:
            wanted = lowered(pattern)
            if not has_wildcard(pattern):
                if wanted in BY_NAME:
                    found.setdefault(wanted, (pattern, self.show(wanted)))
                continue
            for name, directive in BY_NAME.items():
                if not directive.hidden and name not in found and matches(wanted, name):
                    found[name] = (name, self.show(name))
        return list(found.values())

    # Changing.

    def on_change(self, names: Iterable[str], applier: Applier) -> None:
        """Call `applier` whenever CONFIG SET gave one of these directives another value."""
        known = frozenset(names)
        assert known <= self._values.keys(), known - self._values.keys()
        self._appliers.append((known, applier))

    def set_all(
        self, arguments: Sequence[str], *, from_loopback: bool = False, loading: bool = False
    ) -> None:
        """Do CONFIG SET name value [name value ...]: all of it or nothing.

        `from_loopback` and `loading` describe the client and the node. Raises `ConfigSetError`.
        """
        if len(arguments) % 2:
            raise ConfigSetError(SYNTAX_ERROR)
        names = arguments[0::2]
        self._refuse_before_setting(names, from_loopback, loading)
        before = dict(self._values)
        changed: list[str] = []
        for name, text in zip(names, arguments[1::2], strict=True):
            directive = BY_NAME[lowered(name)]
            try:
                words = _cut(text) if directive.kind.several_words else [text]
                self.set_words(directive, words)
            except BadValue as refusal:
                self._values = before
                raise ConfigSetError(_failed(lowered(name), str(refusal))) from None
            if directive.volatile or self._values[directive.name] != before[directive.name]:
                changed.append(directive.name)
        self._apply(changed, before)
        for name in changed:
            self.tell_if_only_accepted(BY_NAME[name])

    def assign(self, name: str, value: Any) -> None:
        """Set a value that the node itself has decided (REPLICAOF, an election); appliers are not called."""
        assert name in self._values, name
        self._values[name] = value

    def set_words(
        self, directive: Directive, words: Sequence[str], first_in_file: bool | None = None
    ) -> None:
        """Set one directive without appliers; `first_in_file` is None outside files. Raises `BadValue`."""
        current = self._values[directive.name]
        if first_in_file is None:
            value = directive.kind.read(words, current)
        else:
            value = directive.kind.read_in_file(words, current, first_in_file)
        if isinstance(directive.kind, Directory):
            value = self._existing_directory(value)
        self._values[directive.name] = value

    # What the log should say.

    def tell_if_only_accepted(self, directive: Directive) -> None:
        """Note once that a directive does not do here what it does in Redis.

        A value that asks for what is done anyway is not worth a warning; it is told at level verbose.
        """
        if not directive.accepted or directive.name in self._told:
            return
        value = self._values[directive.name]
        level = "verbose" if value == directive.default else "warning"
        if level == "warning":
            self._told.add(directive.name)
        shown = "***" if directive.sensitive else directive.kind.show(value) or '""'
        self.tell(level, f"{directive.name} {shown} is accepted, but {directive.accepted}.")

    def tell(self, level: str, text: str) -> None:
        """Keep a sentence for the log."""
        self._notices.append(Notice(level, text))

    def take_notices(self) -> list[Notice]:
        """Return what is to be logged, and forget it."""
        notices, self._notices = self._notices, []
        return notices

    # Steps of `set_all`.

    def _refuse_before_setting(self, names: Sequence[str], from_loopback: bool, loading: bool) -> None:
        """Raise for the first name that may not be set, as Redis orders the reasons."""
        seen: set[str] = set()
        reason = ""
        for name in names:
            directive = BY_NAME.get(lowered(name))
            if directive is None:
                raise ConfigSetError(f"ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            if directive.immutable:
                reason = "can't set immutable config"
            elif directive.protected and not self._protected_allowed(from_loopback):
                reason = "can't set protected config"
            elif loading and directive.denied_while_loading:
                raise ConfigSetError(LOADING)
            elif lowered(name) in seen:
                reason = "duplicate parameter"
            if reason:
                raise ConfigSetError(_failed(name, reason))
            seen.add(lowered(name))

    def _protected_allowed(self, from_loopback: bool) -> bool:
        allowed = self._values["enable-protected-configs"]
        return bool(allowed == "yes" or (allowed == "local" and from_loopback))

    def _existing_directory(self, path: str) -> str:
        directory = posixpath.normpath(posixpath.join(self._values["dir"], path))
        try:
            if not path:
                raise FileNotFoundError(2, "")
            self.disk.listdir(directory)
        except OSError as error:
            raise BadValue(os.strerror(error.errno or 2)) from None
        return directory

    def _apply(self, changed: Sequence[str], before: dict[str, Any]) -> None:
        """Call the appliers of what changed, each once; undo everything when one refuses."""
        called: list[Applier] = []
        for name in changed:
            for names, applier in self._appliers:
                if name not in names or applier in called:
                    continue
                called.append(applier)
                try:
                    applier(self)
                except Refused as refusal:
                    self._values = before
                    self._apply_again(called)
                    raise ConfigSetError(_failed(name, str(refusal))) from None

    def _apply_again(self, appliers: Iterable[Applier]) -> None:
        for applier in appliers:
            try:
                applier(self)
            except Refused as refusal:
                self.tell("warning", f"Failed applying restored failed CONFIG SET command: {refusal}")


def _follow_password(configuration: Configuration) -> None:
    configuration.default_user.set_password(configuration["requirepass"])


def _cut(text: str) -> list[str]:
    """Cut at every single blank, as CONFIG SET does: two in a row make an empty word."""
    return text.split(" ") if text else []


def _failed(name: str, reason: str) -> str:
    return f"ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"
