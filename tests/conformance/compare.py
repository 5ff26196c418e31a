"""What of a reply is compared: everything, unless a step says less.

`normalise` turns a raw reply into the bytes that are recorded: the reply itself, or
what the step's directive leaves of it. `same` compares two of them. Nothing here talks
to a server.

How to read it: the table in `normalise` is the list of directives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tests.wire import Failure, Group, Null, Simple, Value, Verbatim, parse, render

OWN_FIELDS = re.compile(
    rb"(?:backlog_seconds_left|sync_progress|node_id|standing|fence_epoch|term_epoch|intact"
    rb"|ack_unknown_outcomes):[^\r]*\r\n"
)
"""What INFO replication tells of Holdfast's own; Redis lacks these, and clients pass over them."""


def normalise(reply: bytes, directives: Mapping[str, str]) -> bytes:
    """Return what the directives leave of a raw reply, again as bytes."""
    if b"# Replication\r\n" in reply:
        reply = render(_on_texts(parse(reply), lambda text: OWN_FIELDS.sub(b"", text)))
    if "ignore" in directives:
        parse(reply)
        return b"(any reply)"
    if "fields" in directives:
        return b"fields: " + b" ".join(_field_names(parse(reply)))
    if "count" in directives:
        value = parse(reply)
        return b"%d items" % len(value.items or ()) if isinstance(value, Group) else reply
    if "help" in directives:
        return render(_without_descriptions(parse(reply)))
    for name, change in (
        ("unordered", _sorted),
        ("pairs", _sorted_pairs),
        ("shape", _shape),
        ("error", _code),
    ):
        if name in directives:
            return render(change(parse(reply)))
    if "mask" in directives:
        pattern = re.compile(directives["mask"].encode())
        return render(_on_texts(parse(reply), lambda text: pattern.sub(b"~", text)))
    return reply


def same(expected: bytes, got: bytes, directives: Mapping[str, str]) -> bool:
    """Return whether two normalised replies are equal, numbers within `near` where it is given."""
    if expected == got:
        return True
    if "near" not in directives:
        return False
    try:
        return _near(parse(expected), parse(got), int(directives["near"]))
    except (ValueError, IndexError):
        return False


def _near(expected: Value, got: Value, tolerance: int) -> bool:
    if isinstance(expected, int) and isinstance(got, int):
        return abs(expected - got) <= tolerance
    if isinstance(expected, Group) and isinstance(got, Group):
        ours, theirs = expected.items, got.items
        if expected.mark != got.mark or ours is None or theirs is None:
            return expected == got
        return len(ours) == len(theirs) and all(
            _near(left, right, tolerance) for left, right in zip(ours, theirs, strict=True)
        )
    return expected == got


def _without_descriptions(value: Value) -> Value:
    """Keep the syntax lines of a HELP reply; descriptions are each server's own words."""
    if not isinstance(value, Group):
        return value
    lines = (item for item in value.items or () if isinstance(item, Simple))
    return Group(value.mark, tuple(line for line in lines if not line.text.startswith(b" ")))


def _sorted(value: Value) -> Value:
    if isinstance(value, Group) and value.mark in "%|":
        return _sorted_pairs(value)
    if isinstance(value, Group) and value.items is not None:
        return Group(value.mark, tuple(sorted(value.items, key=render)))
    return value


def _sorted_pairs(value: Value) -> Value:
    if not isinstance(value, Group) or value.items is None:
        return value
    if value.mark in "*~>" and all(isinstance(item, Group) for item in value.items):
        return _sorted(value)
    pairs = sorted(zip(value.items[::2], value.items[1::2], strict=True), key=lambda pair: render(pair[0]))
    return Group(value.mark, tuple(item for pair in pairs for item in pair))


def _shape(value: Value) -> Value:
    if isinstance(value, Group):
        return Group(value.mark, None if value.items is None else tuple(map(_shape, value.items)))
    if isinstance(value, int):
        return 0
    if isinstance(value, bytes):
        return b""
    if isinstance(value, Simple):
        return Simple(value.mark, b"")
    if isinstance(value, Verbatim):
        return Verbatim(value.form, b"")
    return _code(value)


def _code(value: Value) -> Value:
    return Failure(value.text.split(b" ")[0]) if isinstance(value, Failure) else value


def _on_texts(value: Value, change: Callable[[bytes], bytes]) -> Value:
    if isinstance(value, Group):
        items = None if value.items is None else tuple(_on_texts(item, change) for item in value.items)
        return Group(value.mark, items)
    if isinstance(value, bytes):
        return change(value)
    if isinstance(value, Simple):
        return Simple(value.mark, change(value.text))
    if isinstance(value, Failure):
        return Failure(change(value.text))
    if isinstance(value, Verbatim):
        return Verbatim(value.form, change(value.text))
    return value


def _field_names(value: Value) -> list[bytes]:
    """Names in "name:value" lines, "name=value" words, or the even items of a map or flat list."""
    if isinstance(value, Group):
        items = value.items or ()
        return sorted(item if isinstance(item, bytes) else render(item) for item in items[::2])
    if isinstance(value, Verbatim | Failure | Simple):
        value = value.text
    if isinstance(value, int | Null):
        return [render(value).strip()]
    if b"\r\n" in value:
        return [line.split(b":")[0] for line in value.split(b"\r\n") if line]
    return [word.split(b"=")[0] for word in value.split()]
