"""Kinds of values with one word: yes/no, numbers, sizes, choices, text.

A kind knows four things: how words become a typed value (or why not, in
Redis's words), how CONFIG GET shows it, which lines CONFIG REWRITE leaves in the
file, and nothing of where the value is kept. Kinds with several words are in
`lists.py`.

How to read it: `Kind` is the contract, `BadValue` the refusal; one class a kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from holdfast.server.config.numbers import as_signed, memory_bytes, octal, strict_integer
from holdfast.server.config.words import lowered, quoted

ENUM_ERROR_MAX_BYTES = 255
"""Redis words this refusal in a buffer of 256 bytes."""


class BadValue(Exception):
    """A value was refused; the text is Redis's and goes to the client as it is."""


Check = Callable[[Any], None]
"""Raises `BadValue` when a well-formed value makes no sense."""

Line = tuple[str, bool]
"""A line for the file, and whether to add it where the file has none of this directive."""


def _anything(value: Any) -> None:
    return None


class Kind:
    """What all kinds share. `words` are the words after the directive's name."""

    several_words = False
    """Whether CONFIG SET cuts the value at each blank."""

    def __init__(self, check: Check = _anything) -> None:
        self.check = check

    def read(self, words: Sequence[str], current: Any) -> Any:
        """Return the new value; `current` is kept where words name only a part. Raises `BadValue`."""
        raise NotImplementedError

    def read_in_file(self, words: Sequence[str], current: Any, first: bool) -> Any:
        """The same for a line of a file; `first` until the directive was met once."""
        return self.read(words, current)

    def show(self, value: Any) -> str:
        """Return the value as CONFIG GET shows it."""
        raise NotImplementedError

    def lines(self, name: str, value: Any, default: Any) -> list[Line]:
        """Return the lines that CONFIG REWRITE wants; none at all takes the directive out of the file."""
        return [(f"{name} {self.show(value)}", value != default)]


class YesNo(Kind):
    """A bool, spelled yes or no."""

    def read(self, words: Sequence[str], current: Any) -> bool:
        word = lowered(words[0])
        if word not in ("yes", "no"):
            raise BadValue("argument must be 'yes' or 'no'")
        self.check(word == "yes")
        return word == "yes"

    def show(self, value: Any) -> str:
        return "yes" if value else "no"


class Integer(Kind):
    """A whole number between two bounds; `clamp` moves what is allowed but useless."""

    def __init__(self, lower: int, upper: int, clamp: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.lower, self.upper, self.clamp = lower, upper, clamp

    def read(self, words: Sequence[str], current: Any) -> int:
        return self.bounded(self.parse(words[0]))

    def parse(self, word: str) -> int:
        """Return the number in `word` whatever its size."""
        value = strict_integer(word)
        if value is None:
            raise BadValue("argument couldn't be parsed into an integer")
        return value

    def bounded(self, value: int) -> int:
        """Return the value if it lies between the bounds."""
        if not self.lower <= value <= self.upper:
            raise BadValue(f"argument must be between {self.lower} and {self.upper} inclusive")
        if self.clamp is not None:
            value = max(self.clamp[0], min(self.clamp[1], value))
        return value

    def show(self, value: Any) -> str:
        return str(value)


class Octal(Integer):
    """Permissions of a file."""

    def parse(self, word: str) -> int:
        value = octal(word)
        if value is None:
            raise BadValue("argument couldn't be parsed as an octal number")
        return value

    def bounded(self, value: int) -> int:
        if not self.lower <= value <= self.upper:
            raise BadValue(f"argument must be between {self.lower:o} and {self.upper:o} inclusive")
        return value

    def show(self, value: Any) -> str:
        return f"{value:o}"


class Memory(Integer):
    """Bytes, with units when read. `percent` allows "40%", which is kept as -40."""

    def __init__(
        self,
        lower: int,
        upper: int,
        *,
        unsigned: bool = False,
        percent: bool = False,
        clamp: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(lower, upper, clamp)
        self.unsigned, self.percent = unsigned, percent

    def parse(self, word: str) -> int:
        size_bytes = memory_bytes(word)
        if size_bytes is not None:
            return size_bytes if self.unsigned else as_signed(size_bytes)
        if not self.percent:
            raise BadValue("argument must be a memory value")
        share = strict_integer(word[:-1]) if word.endswith("%") else None
        if share is None or share < 0:
            raise BadValue("argument must be a memory or percent value")
        return -share

    def bounded(self, value: int) -> int:
        if self.percent and value < 0:
            if value < self.lower:
                raise BadValue(f"percentage argument must be less or equal to {-self.lower}")
            return value
        return super().bounded(value)

    def show(self, value: Any) -> str:
        return f"{-value}%" if value < 0 else str(value)

    def lines(self, name: str, value: Any, default: Any) -> list[Line]:
        size = self.show(value) if value < 0 else with_unit(value)
        return [(f"{name} {size}", value != default)]


class Choice(Kind):
    """One word out of a few. `synonyms` are read, and shown as what they stand for."""

    def __init__(self, *choices: str, synonyms: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.choices = choices
        self.synonyms = dict(synonyms or {})

    def read(self, words: Sequence[str], current: Any) -> str:
        word = lowered(words[0]) if len(words) == 1 else ""
        word = self.synonyms.get(word, word)
        if word not in self.choices:
            raise BadValue(one_of(self._all()))
        return word

    def _all(self) -> list[str]:
        listed: list[str] = []
        for choice in self.choices:
            listed.append(choice)
            listed += [other for other, meaning in self.synonyms.items() if meaning == choice]
        return listed

    def show(self, value: Any) -> str:
        return str(value)


class Choices(Kind):
    """Several words out of a few, in a fixed order; `neutral` stands for none of them."""

    several_words = True

    def __init__(self, neutral: str, *choices: str, check: Check = _anything) -> None:
        super().__init__(check)
        self.neutral, self.choices = neutral, choices

    def read(self, words: Sequence[str], current: Any) -> frozenset[str]:
        chosen = [lowered(word) for word in words]
        if not chosen or any(word != self.neutral and word not in self.choices for word in chosen):
            raise BadValue(one_of([self.neutral, *self.choices]))
        value = frozenset(chosen) - {self.neutral}
        self.check(value)
        return value

    def show(self, value: Any) -> str:
        return " ".join(choice for choice in self.choices if choice in value) or self.neutral


class Text(Kind):
    """Any text. `absent_when_empty`: the empty text means unset and leaves no line in the file.

    `raw` keeps zero bytes; other texts end at the first one, as C strings do.
    """

    def __init__(
        self, *, absent_when_empty: bool = False, raw: bool = False, check: Check = _anything
    ) -> None:
        super().__init__(check)
        self.absent_when_empty, self.raw = absent_when_empty, raw

    def read(self, words: Sequence[str], current: Any) -> str:
        text = words[0] if self.raw else words[0].partition("\0")[0]
        self.check(text)
        return text

    def show(self, value: Any) -> str:
        return str(value)

    def lines(self, name: str, value: Any, default: Any) -> list[Line]:
        if value == "" and self.absent_when_empty:
            return []
        return [(f"{name} {quoted(value)}", value != default)]


def with_unit(size_bytes: int) -> str:
    """Return a size with the largest unit that divides it."""
    for unit, multiplier in (("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)):
        if size_bytes and size_bytes % multiplier == 0:
            return f"{size_bytes // multiplier}{unit}"
    return str(size_bytes)


def one_of(choices: Sequence[str]) -> str:
    """Word the refusal of a word that is not among `choices`."""
    return ("argument(s) must be one of the following: " + ", ".join(choices))[:ENUM_ERROR_MAX_BYTES]
