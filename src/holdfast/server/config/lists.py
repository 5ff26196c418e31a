"""Kinds of values with several words: save, buffer limits, bind and the like.

One class a directive, the same contract as in `kinds.py`. Refusals are worded
as Redis words them; so are its oddities, each said where it stands.

How to read it: the classes stand alone; read the one you need.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from holdfast.server.config.kinds import BadValue, Kind, Line, with_unit
from holdfast.server.config.numbers import loose_integer, memory_bytes, strict_float
from holdfast.server.config.words import lowered, quoted

BIND_ADDRESSES_MAX = 16


class SaveRule(NamedTuple):
    """Snapshot when this many changes were made and this long has passed."""

    seconds: int
    changes: int


class SaveRules(Kind):
    """`save`: pairs of seconds and changes; in a file, lines add up after the first."""

    several_words = True

    def read(self, words: Sequence[str], current: Any) -> tuple[SaveRule, ...]:
        if len(words) == 1 and words[0] == "":
            return ()
        if len(words) % 2:
            raise BadValue("Invalid save parameters")
        rules = []
        for place in range(0, len(words), 2):
            seconds, changes = loose_integer(words[place]), loose_integer(words[place + 1])
            if seconds is None or changes is None or seconds < 1 or changes < 0:
                raise BadValue("Invalid save parameters")
            rules.append(SaveRule(seconds, _as_c_int(changes)))
        return tuple(rules)

    def read_in_file(self, words: Sequence[str], current: Any, first: bool) -> tuple[SaveRule, ...]:
        rules = self.read(words, current)
        forget = first or list(words) == [""]
        return rules if forget else (*current, *rules)

    def show(self, value: Any) -> str:
        return " ".join(f"{rule.seconds} {rule.changes}" for rule in value)

    def lines(self, name: str, value: Any, default: Any) -> list[Line]:
        rules = [f"{name} {rule.seconds} {rule.changes}" for rule in value] or [f'{name} ""']
        return [(rule, True) for rule in rules]


class OutputLimit(NamedTuple):
    """Bounds of what waits to be sent to one client; 0 is no bound."""

    hard_bytes: int
    soft_bytes: int
    soft_seconds: int


class OutputLimits(NamedTuple):
    """One bound a class of clients."""

    normal: OutputLimit
    replica: OutputLimit
    pubsub: OutputLimit


class OutputBufferLimits(Kind):
    """`client-output-buffer-limit`: groups of class, hard, soft, seconds; classes not named stay."""

    several_words = True
    _CLASSES: ClassVar[dict[str, str]] = {
        "normal": "normal",
        "slave": "replica",
        "replica": "replica",
        "pubsub": "pubsub",
    }

    def read(self, words: Sequence[str], current: Any) -> OutputLimits:
        if len(words) % 4:
            raise BadValue("Wrong number of arguments in buffer limit configuration.")
        limits: OutputLimits = current
        for place in range(0, len(words), 4):
            client_class = self._CLASSES.get(lowered(words[place]))
            if client_class is None:
                raise BadValue("Invalid client class specified in buffer limit configuration.")
            hard_bytes, soft_bytes = memory_bytes(words[place + 1]), memory_bytes(words[place + 2])
            seconds = loose_integer(words[place + 3])
            soft_seconds = -1 if seconds is None else _as_c_int(seconds)
            if hard_bytes is None or soft_bytes is None or soft_seconds < 0:
                raise BadValue("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
            limits = limits._replace(**{client_class: OutputLimit(hard_bytes, soft_bytes, soft_seconds)})
        return limits

    def show(self, value: Any) -> str:
        wire_names = ("normal", "slave", "pubsub")
        return " ".join(
            f"{name} {limit.hard_bytes} {limit.soft_bytes} {limit.soft_seconds}"
            for name, limit in zip(wire_names, value, strict=True)
        )

    def lines(self, name: str, value: Any, default: Any) -> list[Line]:
        """Return a line a class; a class at its default asks for no line of its own."""
        lines = []
        for client_class, limit, usual in zip(OutputLimits._fields, value, default, strict=True):
            hard, soft = with_unit(limit.hard_bytes), with_unit(limit.soft_bytes)
            lines.append((f"{name} {client_class} {hard} {soft} {limit.soft_seconds}", limit != usual))
        return lines


class OomScores(Kind):
    """`oom-score-adj-values`: primary, replica, child."""

    several_words = True

    def read(self, words: Sequence[str], current: Any) -> tuple[int, ...]:
        if len(words) != 3:
            raise BadValue("wrong number of arguments")
        scores = []
        for word in words:
            score = loose_integer(word)
            if score is None or not -2000 <= score <= 2000:
                raise BadValue("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
            scores.append(score)
        return tuple(scores)

    def show(self, value: Any) -> str:
        return " ".join(str(score) for score in value)


class EventClasses(Kind):
    """`notify-keyspace-events`: the value holds every class by itself, "A" spelled out."""

    ALL = "g$lshzxetd"
    ORDER = ALL + "nKEm"

    def read(self, words: Sequence[str], current: Any) -> str:
        if len(words) != 1:
            raise BadValue("wrong number of arguments")
        chosen = set(words[0].partition("\0")[0].replace("A", self.ALL))
        if not chosen.issubset(self.ORDER):
            raise BadValue("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
        return "".join(letter for letter in self.ORDER if letter in chosen)

    def show(self, value: Any) -> str:
        """Show as Redis does, which leaves `n` out beside `A` (notify.c)."""
        return self._short(value).replace("An", "A")

    def lines(self, name: str, value: Any, default: Any) -> list[Line]:
        """Write all classes, also the `n` that Redis would lose here."""
        return [(f"{name} {quoted(self._short(value))}", value != "")]

    def _short(self, value: str) -> str:
        return "A" + value[len(self.ALL) :] if value.startswith(self.ALL) else value


class Addresses(Kind):
    """`bind`: addresses; a leading "-" means that it may be missing, "*" all of IPv4, "::*" of IPv6."""

    several_words = True

    def read(self, words: Sequence[str], current: Any) -> tuple[str, ...]:
        if len(words) > BIND_ADDRESSES_MAX:
            raise BadValue("Too many bind addresses specified.")
        return () if list(words) == [""] else tuple(words)

    def show(self, value: Any) -> str:
        return " ".join(value)

    def lines(self, name: str, value: Any, default: Any) -> list[Line]:
        if value == default:
            return []
        return [(f"{name} {self.show(value)}" if value else f'{name} ""', True)]


class ReplicaOf(Kind):
    """`replicaof`: host and port of the primary, None for a primary."""

    several_words = True

    def read(self, words: Sequence[str], current: Any) -> tuple[str, int] | None:
        if len(words) != 2:
            raise BadValue("wrong number of arguments")
        if [lowered(word) for word in words] == ["no", "one"]:
            return None
        port = loose_integer(words[1])
        if port is None or not 0 <= port <= 65535:
            raise BadValue("Invalid master port")
        return words[0], port

    def show(self, value: Any) -> str:
        return "" if value is None else f"{value[0]} {value[1]}"

    def lines(self, name: str, value: Any, default: Any) -> list[Line]:
        return [] if value is None else [(f"{name} {self.show(value)}", True)]


class Percentiles(Kind):
    """`latency-tracking-info-percentiles`: numbers from 0 to 100."""

    several_words = True
    _NAME = "latency-tracking-info-percentiles"

    def read(self, words: Sequence[str], current: Any) -> tuple[float, ...]:
        if list(words) == [""]:
            return ()
        percentiles = []
        for word in words:
            percentile = strict_float(word)
            if percentile is None:
                raise BadValue(f"Invalid {self._NAME} parameters")
            if not 0.0 <= percentile <= 100.0:
                raise BadValue(f"{self._NAME} parameters should sit between [0.0,100.0]")
            percentiles.append(percentile)
        return tuple(percentiles)

    def show(self, value: Any) -> str:
        return " ".join(f"{percentile:.6f}".rstrip("0").rstrip(".") for percentile in value)

    def lines(self, name: str, value: Any, default: Any) -> list[Line]:
        return [(f"{name} {self.show(value)}" if value else f'{name} ""', True)]


class Directory(Kind):
    """`dir`: kept as an absolute path; `Configuration` resolves it and asks the disk."""

    def read(self, words: Sequence[str], current: Any) -> str:
        if len(words) != 1:
            raise BadValue("wrong number of arguments")
        return words[0].partition("\0")[0]

    def show(self, value: Any) -> str:
        return str(value)

    def lines(self, name: str, value: Any, default: Any) -> list[Line]:
        return [(f"{name} {quoted(value)}", True)]


def _as_c_int(value: int) -> int:
    """Cut a number to 32 bits with sign, as the C structures do that keep these."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)
