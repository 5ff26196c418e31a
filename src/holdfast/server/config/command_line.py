"""The arguments of a redis-server command line, turned into lines of configuration.

The rules are Redis 7's: an optional file first; `-` first or last for standard
input; `--name` begins a line, what follows up to the next `--name` are its words;
`--save` and `--sentinel` may stand alone. A word after `--name` belongs to it
even if it begins with dashes.

How to read it: `read_arguments` walks the arguments once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from holdfast.server.config.words import lowered, quoted, split_words


class CommandLine(NamedTuple):
    """What the arguments say."""

    config_file: str
    """As given; "" for none."""
    from_standard_input: bool
    options: str
    """Lines that count after the file and standard input."""


def read_arguments(arguments: Sequence[str]) -> CommandLine:
    """Read the arguments after the program's name."""
    config_file = arguments[0] if arguments and not arguments[0].startswith("-") else ""
    rest = list(arguments[1:] if config_file else arguments)
    from_standard_input = False
    lines: list[list[str]] = []
    complete = True
    for place, argument in enumerate(rest):
        is_first = place == 0 and not config_file
        is_last = place == len(rest) - 1
        if argument == "-" and (is_first or is_last):
            from_standard_input = True
        elif complete and argument.startswith("--"):
            lines.append([argument[2:]])
            if len(split_words(argument) or ()) == 1:
                following = "" if is_last else rest[place + 1]
                complete = _may_stand_alone(lines[-1], lowered(argument), following, is_last)
        else:
            if not lines:
                lines.append([])
            lines[-1].append(quoted(argument))
            complete = True
    return CommandLine(config_file, from_standard_input, "\n".join(" ".join(line) for line in lines))


def _may_stand_alone(line: list[str], argument: str, following: str, is_last: bool) -> bool:
    """Tell whether the next `--` begins a new line although this option had no word yet."""
    if argument not in ("--save", "--sentinel") or not (is_last or following.startswith("--")):
        return False
    if argument == "--save":
        line.append('""')
    return not is_last
