"""Case files: what the conformance suite sends, as readable text.

Parses `cases/*.txt` into groups of steps. It does not run anything: that is
`player`. The notation is explained, with examples, in README.md beside this file.

How to read it: `Step` and `CaseGroup` are the result, `read_cases` makes them;
`expand_braces` and `split_words` are the two halves of the command notation.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CASES = Path(__file__).parent / "cases"
_STEP = re.compile(r"^(?:@(?P<connection>\w+)\s+)?(?:\[(?P<directives>.*?)\]\s+)?(?P<text>.*)$")
_REPEATED = re.compile(r"^<(.+)\*(\d+)>$")
_NUMBERED = re.compile(r"^<(.+):(\d+)\.\.(\d+)>$")
_ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "0": b"\0", "\\": b"\\", '"': b'"', "a": b"\a", "b": b"\b"}
_COMPARISONS = "unordered pairs near shape fields mask ignore count error help fixed"
_ACTIONS = "scan raw split replies closes blocks sends until resp2 resp3"
KNOWN_DIRECTIVES = frozenset(f"{_COMPARISONS} {_ACTIONS}".split())


class CaseError(ValueError):
    """A case file that says something the notation does not know; names file and line."""


@dataclass(frozen=True)
class Step:
    """One thing to do: send a command or bytes on a connection, or read from it."""

    text: str
    words: tuple[bytes, ...]
    connection: str = "main"
    directives: dict[str, str] = field(default_factory=dict)
    line_number: int = 0
    reads: int = 0  # > 0: send nothing, read so many replies

    @property
    def title(self) -> str:
        """Return the step as recordings show it."""
        mark = "" if self.connection == "main" else f"@{self.connection} "
        return mark + self.text


@dataclass(frozen=True)
class CaseGroup:
    """Steps that belong together: they start on an empty server and new connections."""

    family: str
    name: str
    steps: tuple[Step, ...]
    server_options: tuple[str, ...] = ()
    configuration: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def key(self) -> str:
        """Return "family / name"."""
        return f"{self.family} / {self.name}"


def families() -> list[str]:
    """Return the names of all case files, sorted."""
    return sorted(path.stem for path in CASES.glob("*.txt"))


def read_cases(family: str) -> list[CaseGroup]:
    """Return the groups of one case file; raise `CaseError` for bad notation."""
    path = CASES / f"{family}.txt"
    return list(_groups(family, path.read_text().splitlines()))


def expand_braces(text: str) -> list[str]:
    """Return `text` once for each choice of its unquoted {a,b} parts, as a shell would."""
    parts: list[list[str]] = []
    literal = ""
    position = 0
    quote = ""
    while position < len(text):
        letter = text[position]
        if quote:
            if letter == "\\" and quote == '"':
                literal += text[position : position + 2]
                position += 2
                continue
            if letter == quote:
                quote = ""
        elif letter in "'\"":
            quote = letter
        elif letter == "{":
            end = text.find("}", position)
            inside = text[position + 1 : end] if end > 0 else ""
            if "," in inside:
                parts += [[literal], inside.split(",")]
                literal = ""
                position = end + 1
                continue
        literal += letter
        position += 1
    parts.append([literal])
    return ["".join(choice).rstrip() for choice in itertools.product(*parts)]


def split_words(text: str) -> list[bytes]:
    """Return the words of a command line: quotes and escapes as in redis-cli, <...> repeats."""
    words: list[bytes] = []
    position = 0
    while position < len(text):
        if text[position] == " ":
            position += 1
        elif text[position] == '"':
            word, position = _double_quoted(text, position + 1)
            words.append(word)
        elif text[position] == "'":
            end = text.index("'", position + 1)
            words.append(text[position + 1 : end].encode())
            position = end + 1
        else:
            end = text.find(" ", position)
            end = len(text) if end < 0 else end
            words += _bare_words(text[position:end])
            position = end
    return words


def _double_quoted(text: str, position: int) -> tuple[bytes, int]:
    word = bytearray()
    while text[position] != '"':
        letter = text[position]
        if letter != "\\":
            word += letter.encode()
            position += 1
        elif text[position + 1] == "x":
            word.append(int(text[position + 2 : position + 4], 16))
            position += 4
        else:
            word += _ESCAPES[text[position + 1]]
            position += 2
    return bytes(word), position + 1


def _bare_words(word: str) -> list[bytes]:
    if repeated := _REPEATED.match(word):
        return [repeated[1].encode() * int(repeated[2])]
    if numbered := _NUMBERED.match(word):
        forms = numbered[1].split(":")
        numbers = range(int(numbered[2]), int(numbered[3]) + 1)
        return [form.replace("#", str(number)).encode() for number in numbers for form in forms]
    return [word.encode()]


def _groups(family: str, lines: list[str]) -> Iterator[CaseGroup]:
    name = ""
    steps: list[Step] = []
    options: list[str] = []
    configuration: list[tuple[bytes, bytes]] = []

    def finished() -> Iterator[CaseGroup]:
        if name:
            yield CaseGroup(family, name, tuple(steps), tuple(options), tuple(configuration))

    for number, line in enumerate(lines, 1):
        try:
            if line.startswith("== "):
                yield from finished()
                name, steps, options, configuration = line[3:].strip(), [], [], []
            elif line.startswith("%server "):
                options += [word.decode() for word in split_words(line[8:])]
            elif line.startswith("%config "):
                setting, value = split_words(line[8:])
                configuration.append((setting, value))
            elif line.strip() and not line.startswith("#"):
                if not name:
                    raise CaseError("a step before the first group")
                steps += _steps(line, number)
        except (CaseError, ValueError, IndexError, KeyError) as error:
            raise CaseError(f"{family}.txt:{number}: {line!r}: {error}") from error
    yield from finished()


def _steps(line: str, number: int) -> Iterator[Step]:
    matched = _STEP.match(line.strip())
    assert matched is not None
    directives: dict[str, str] = {}
    rest = matched["directives"] or ""
    while rest:
        name, _, following = rest.partition(" ")
        if name.rstrip(",") == "mask":
            directives["mask"], rest = following, ""
            continue
        first, _, rest = rest.partition(", ")
        name, _, argument = first.partition(" ")
        if name not in KNOWN_DIRECTIVES:
            raise CaseError(f"unknown directive {name!r}")
        directives[name] = argument
    connection = matched["connection"] or "main"
    text = matched["text"]
    if text.startswith("<-"):
        yield Step(text, (), connection, directives, number, reads=int(text[2:].strip() or "1"))
        return
    for command in expand_braces(text):
        yield Step(command, tuple(split_words(command)), connection, directives, number)
