"""Reading configuration files, standard input and the command line into a `Configuration`.

One directive a line, words as in `words.py`, `#` begins a comment line, the last
value wins, `include` reads another file in its place (patterns may match none).
Unlike Redis, `save` lines add up after an `include` too (there, each then forgets
those before it). Any error ends the start, with the place, the line and the reason.

How to read it: `Reader.read_file`, `read_text`, `finish` are called in this
order; `_line` is the grammar.
"""

from __future__ import annotations

import os
import posixpath

from holdfast import __version__
from holdfast.server.config.configuration import Configuration, Renaming
from holdfast.server.config.directive import Directive
from holdfast.server.config.kinds import BadValue
from holdfast.server.config.pattern import expand, has_wildcard
from holdfast.server.config.table import BY_NAME
from holdfast.server.config.words import as_text, lowered, split_words

INCLUDE_DEPTH_MAX = 16
COMMAND_LINE = "the command line"
STANDARD_INPUT = "standard input"
OBSOLETE = frozenset(("list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"))
"""Directives of old versions that Redis 7 reads over."""
IN_FILES_ONLY = frozenset(("include", "rename-command", "user", "loadmodule", "sentinel"))


class ConfigFileError(Exception):
    """The configuration cannot be used; `str()` is what the operator should see."""

    def __init__(self, reason: str, source: str = "", number: int = 0, line: str = "") -> None:
        super().__init__(reason, source, number, line)
        self.reason, self.source, self.number, self.line = reason, source, number, line

    def __str__(self) -> str:
        shown = [f"*** FATAL CONFIG FILE ERROR (Holdfast {__version__}) ***"]
        if self.number:
            kind = "" if self.source in (COMMAND_LINE, STANDARD_INPUT) else "the configuration file "
            shown.append(f"Reading {kind}{self.source}, at line {self.number}")
            shown.append(f">>> '{self.line}'")
        shown.append(self.reason)
        return "\n".join(shown)


class Reader:
    """Reads all sources of one configuration, in the order in which they win."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._met: set[str] = set()
        self._depth = 0
        self._default_user_rules: list[str] | None = None
        self._modules = 0
        self._module_settings = 0

    def read_file(self, path: str) -> None:
        """Read one file; a path with wildcards stands for all that match. Raises `ConfigFileError`."""
        disk = self.configuration.disk
        here = posixpath.join(self.configuration["dir"], path)
        for found in expand(disk, here) if has_wildcard(path) else [here]:
            try:
                file = disk.open(found, "rb")
                try:
                    content = file.read()
                finally:
                    file.close()
            except OSError as error:
                reason = os.strerror(error.errno or 2)
                raise ConfigFileError(f"Fatal error, can't open config file '{found}': {reason}") from None
            self.read_text(as_text(content), found)

    def read_text(self, content: str, source: str) -> None:
        """Read the lines of a text; `source` names it in errors. Raises `ConfigFileError`."""
        for number, raw in enumerate(content.split("\n"), 1):
            line = raw.strip(" \t\r\n")
            if not line or line[0] in "#\0":
                continue
            try:
                self._line(line)
            except BadValue as refusal:
                raise ConfigFileError(str(refusal), source, number, line) from None

    def finish(self) -> None:
        """Check what only the whole can tell, and settle the default user. Raises `ConfigFileError`."""
        configuration = self.configuration
        if configuration["logfile"]:
            try:
                configuration.disk.open(configuration.path("logfile"), "ab").close()
            except OSError as error:
                reason = os.strerror(error.errno or 2)
                raise ConfigFileError(f"Can't open the log file: {reason}") from None
        if configuration["cluster-enabled"]:
            if configuration["replicaof"] is not None:
                raise ConfigFileError("replicaof directive not allowed in cluster mode")
            databases = configuration["databases"]
            if databases > 1:
                configuration.tell(
                    "warning",
                    f"WARNING: Changing databases number from {databases} to 1 since we are in cluster mode",
                )
                configuration.assign("databases", 1)
        if self._module_settings and not self._modules:
            raise ConfigFileError(
                "Module Configuration detected without loadmodule directive or no ApplyConfig call: aborting"
            )
        configuration.default_user.set_password(configuration["requirepass"])
        if self._default_user_rules is not None:
            configuration.default_user.read_rules(self._default_user_rules)

    def _line(self, line: str) -> None:
        words = split_words(line)
        if words is None:
            raise BadValue("Unbalanced quotes in configuration line")
        if not words:
            return
        name = lowered(words[0])
        directive = BY_NAME.get(name)
        if directive is not None:
            self._directive(directive, words[1:])
        elif name not in OBSOLETE or len(words) != 2:
            self._in_files_only(name, words, line)

    def _directive(self, directive: Directive, words: list[str]) -> None:
        if not directive.kind.several_words:
            if len(words) != 1:
                raise BadValue("wrong number of arguments")
        elif len(words) == 1 and words[0]:
            words = split_words(words[0]) or []
        first = directive.name not in self._met
        self._met.add(directive.name)
        self.configuration.set_words(directive, words, first)
        self.configuration.tell_if_only_accepted(directive)

    def _in_files_only(self, name: str, words: list[str], line: str) -> None:
        count = len(words)
        if name == "include" and count == 2:
            self._include(words[1])
        elif name == "rename-command" and count == 3:
            self.configuration.renamed_commands.append(Renaming(words[1], words[2], line))
        elif name == "user" and count >= 2:
            self._user(words)
        elif name == "loadmodule" and count >= 2:
            self._modules += 1
            self.configuration.tell(
                "warning",
                f"loadmodule {words[1]} is accepted, but modules are not loaded: "
                "their commands are unknown here.",
            )
        elif "." in name:
            if count < 2:
                raise BadValue("Module config specified without value")
            self._module_settings += 1
        elif name == "sentinel":
            if count != 1:
                raise BadValue("sentinel directive while not in sentinel mode")
        else:
            raise BadValue("Bad directive or wrong number of arguments")

    def _include(self, path: str) -> None:
        if self._depth == INCLUDE_DEPTH_MAX:
            raise BadValue(f"include goes deeper than {INCLUDE_DEPTH_MAX} files")
        self._depth += 1
        self.read_file(path)
        self._depth -= 1

    def _user(self, words: list[str]) -> None:
        if words[1] != "default":
            raise BadValue(
                f"Error in user declaration '{words[1]}': users beside the default one are not supported yet"
            )
        if self._default_user_rules is not None:
            raise BadValue(
                "Error in user declaration 'default': "
                "Duplicate user found. A user can only be defined once in config files"
            )
        problem = self.configuration.default_user.read_rules(words[2:])
        if problem:
            raise BadValue(f"Error in user declaration 'default': {problem}")
        self._default_user_rules = words[2:]
