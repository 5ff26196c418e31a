"""The forms of lines: templates with named places, and errors that help.

What this is: how a step or a condition is written, matched and explained. What it is not:
the steps (`vocabulary`) and conditions (`conditions`) themselves.

How to read it: a template is the line as one would write it, with places in braces
(`{name:NODE}`) and optional parts in brackets; `Table` holds the forms of one kind.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

ONE = r"[A-Za-z][\w-]*"
SEVERAL = rf"{ONE}(?:, {ONE})*"
PLACES = {
    "NEW": ONE,
    "NEWS": SEVERAL,
    "HOST": ONE,
    "HOSTS": SEVERAL,
    "END": ONE,
    "ENDS": SEVERAL,
    "PROCESS": ONE,
    "NODE": ONE,
    "NODES": SEVERAL,
    "WORD": ONE,
    "KEY": r"\S+",
    "COUNT": r"\d+",
    "NUMBER": r"[-+]?\d+(?:\.\d+)?",
    "TIME": r"\d+(?:\.\d+)? ?(?:ms|s|min)",
    "TEXT": r".+",
}
"""Kinds of places. NEW is a name that nobody has yet, END a host or the driver, NODE a data node; who must be
there is checked when the line is done (`places`)."""
UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0}

Acts = TypeVar("Acts", bound=Callable[..., object])


class ScenarioError(Exception):
    """A line that cannot be understood or cannot be done; the text names the line."""


@dataclass(frozen=True, slots=True)
class Form(Generic[Acts]):
    """One way to write a line."""

    template: str
    pattern: re.Pattern[str]
    act: Acts
    kinds: tuple[tuple[str, str], ...]
    """What stands in each place, by its name."""

    @property
    def shown(self) -> str:
        """The template as it is shown to people: places in capitals."""
        return re.sub(r"\{(\w+):\w+\}", lambda match: match[1].upper(), self.template)


class Table(Generic[Acts]):
    """The forms of one kind of line."""

    def __init__(self, kind: str) -> None:
        """Begin an empty table of, say, steps."""
        self.kind = kind
        self.forms: list[Form[Acts]] = []

    def form(self, template: str) -> Callable[[Acts], Acts]:
        """Declare that lines of this template are done by the decorated function."""

        def declare(act: Acts) -> Acts:
            kinds = tuple(re.findall(r"\{(\w+):(\w+)\}", template))
            self.forms.append(Form(template, compiled(template), act, kinds))
            return act

        return declare

    def match(self, text: str) -> tuple[Form[Acts], dict[str, str | None]]:
        """Return the form of a line and what stands in its places. Raises `ScenarioError`."""
        for form in self.forms:
            match = form.pattern.fullmatch(text)
            if match is not None:
                return form, match.groupdict()
        raise ScenarioError(self._advice(text))

    def _advice(self, text: str) -> str:
        first = text.split(" ", 1)[0]
        alike = [
            form.shown
            for form in self.forms
            if form.template.split(" ", 1)[0].rstrip(":") == first.rstrip(":")
        ]
        if alike:
            return f"this {self.kind} is written: " + " | ".join(alike)
        words = sorted({form.template.split(" ", 1)[0] for form in self.forms if form.template[0] != "{"})
        near = difflib.get_close_matches(first, words, 1)
        if near:
            return f"no {self.kind} begins with {first!r}: was {near[0]!r} meant?"
        shown = [form.shown for form in self.forms]
        near = difflib.get_close_matches(text, shown, 3, 0.3) or shown[:5]
        return f"no {self.kind} is written {text!r}; near are: " + " | ".join(near)


def compiled(template: str) -> re.Pattern[str]:
    """Return the pattern of a template."""
    pieces = []
    for piece in re.split(r"(\{\w+:\w+\}|\[|\])", template):
        place = re.fullmatch(r"\{(\w+):(\w+)\}", piece)
        if place:
            pieces.append(f"(?P<{place[1]}>{PLACES[place[2]]})")
        elif piece == "[":
            pieces.append("(?:")
        elif piece == "]":
            pieces.append(")?")
        else:
            pieces.append(re.escape(piece))
    return re.compile("".join(pieces))


def seconds(text: str) -> float:
    """Read a time such as `1.5 s`, `200 ms` or `2 min`, in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(ms|s|min)", text)
    if match is None:
        raise ScenarioError(f"{text!r} is no time; write 500 ms, 2 s or 1 min")
    return float(match[1]) * UNIT_SECONDS[match[2]]


def positive(text: str, what: str) -> float:
    """Read a number above zero. Raises `ScenarioError`."""
    number = float(text)
    if number <= 0:
        raise ScenarioError(f"{what} is above zero, not {text}")
    return number


def settings(text: str | None) -> dict[str, str]:
    """Read `appendonly yes, min-replicas-to-ack 1`."""
    result = {}
    for each in (text or "").split(", "):
        name, _, value = each.strip().partition(" ")
        if each and not value:
            raise ScenarioError(f"a setting is a name and a value, not {each!r}")
        if each:
            result[name] = value.strip()
    return result
