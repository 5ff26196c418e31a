"""Configuration: every directive of redis.conf, files, command line, CONFIG.

`Configuration` holds the typed values of one node; `load` makes one from a
command line. Nothing here knows the engine or the network.

How to read it: `table/` says what exists, `kinds.py` and `lists.py` what values
look like, `configuration.py` what CONFIG GET and SET do, `reader.py` what stands
in files, `rewrite.py` what CONFIG REWRITE leaves there, `command_line.py` what
the arguments of the server mean.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from holdfast.server.config.command_line import CommandLine, read_arguments
from holdfast.server.config.configuration import (
    ConfigSetError,
    Configuration,
    Notice,
    Refused,
    Renaming,
)
from holdfast.server.config.reader import COMMAND_LINE, STANDARD_INPUT, ConfigFileError, Reader
from holdfast.server.config.rewrite import ConfigRewriteError, rewrite_file
from holdfast.server.config.words import as_bytes, as_text

if TYPE_CHECKING:
    from holdfast.server.host import Disk

__all__ = [
    "CommandLine",
    "ConfigFileError",
    "ConfigRewriteError",
    "ConfigSetError",
    "Configuration",
    "Notice",
    "Refused",
    "Renaming",
    "as_bytes",
    "as_text",
    "load",
    "read_arguments",
    "rewrite_file",
]


def load(
    arguments: Sequence[str], disk: Disk, directory: str, standard_input: Callable[[], str] = str
) -> Configuration:
    """Make a configuration from a command line: file, then standard input, then options.

    `directory` is the absolute path that relative ones start from. Raises `ConfigFileError`.
    """
    command_line = read_arguments(arguments)
    configuration = Configuration(disk, directory)
    reader = Reader(configuration)
    if command_line.config_file:
        path = posixpath.normpath(posixpath.join(directory, command_line.config_file))
        configuration.config_file = path
        reader.read_file(path)
    if command_line.from_standard_input:
        reader.read_text(standard_input(), STANDARD_INPUT)
    reader.read_text(command_line.options, COMMAND_LINE)
    reader.finish()
    return configuration
