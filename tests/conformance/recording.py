"""Recordings: what a server answered to the cases, as text that diffs well.

A recording has a block per group (`== name`), a `> command` line per step and under it
`= reply` when RESP2 and RESP3 agree, else `2 reply` and `3 reply`. The overlay has the
same form with `? reason` before the steps it explains and the step's number after `>`.

How to read it: `Recorded`, then `write_recording` and `read_recording`, then the overlay.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.casefile import CaseGroup

RECORDED = Path(__file__).parent / "recorded"
OVERLAY = Path(__file__).parent / "overlay.resp"
UNEXPLAINED = "UNEXPLAINED"
_LONGEST_REPLY_BYTES = 12_000
_ESCAPED = re.compile(r"\\(x[0-9a-f]{2}|.)")


@dataclass(frozen=True)
class Recorded:
    """The two replies to one step; `leftover` steps have the title "(end)"."""

    title: str
    resp2: bytes
    resp3: bytes

    def reply(self, protocol: int) -> bytes:
        """Return the reply in RESP2 (2) or RESP3 (3)."""
        return self.resp2 if protocol == 2 else self.resp3


@dataclass(frozen=True)
class Difference:
    """Where Redis 7.2 answers otherwise than the recording, and why."""

    reason: str
    recorded: Recorded


Recording = dict[str, list[Recorded]]
Overlay = dict[tuple[str, int], Difference]


def joined(group: CaseGroup, resp2: list[bytes], resp3: list[bytes]) -> list[Recorded]:
    """Pair the replies of both protocols with their steps."""
    titles = [step.title for step in group.steps]
    length = max(len(resp2), len(resp3), len(titles))
    titles += ["(end)"] * (length - len(titles))
    second = [brief(reply) for reply in resp2] + [b""] * (length - len(resp2))
    third = [brief(reply) for reply in resp3] + [b""] * (length - len(resp3))
    return [Recorded(*step) for step in zip(titles, second, third, strict=True)]


def brief(reply: bytes) -> bytes:
    """Return the reply, or its start and digest when it is long."""
    if len(reply) <= _LONGEST_REPLY_BYTES:
        return reply
    digest = hashlib.sha256(reply).hexdigest()[:16]
    return reply[:200] + b"(%d bytes, sha256 %b)" % (len(reply), digest.encode())


def write_recording(family: str, version: str, groups: Recording) -> None:
    """Write `recorded/<family>.resp`."""
    lines = [f"# answered by redis-server {version}; python -m tests.conformance.record writes this file"]
    for name, steps in groups.items():
        lines += ["", f"== {name}"]
        for step in steps:
            lines += [f"> {step.title}", *_reply_lines(step)]
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{family}.resp").write_text("\n".join(lines) + "\n")


def read_recording(family: str) -> Recording:
    """Return the recording of a family: group name to steps."""
    groups: Recording = {}
    title, replies = "", dict[str, bytes]()
    current: list[Recorded] = []
    for line in (RECORDED / f"{family}.resp").read_text().splitlines():
        if line.startswith("== "):
            current = groups[line[3:]] = []
        elif line.startswith("> "):
            title, replies = line[2:], {}
        elif line[:2] in ("= ", "2 ", "3 "):
            replies[line[0]] = unescaped(line[2:])
            if line[0] != "2":
                current.append(Recorded(title, replies.get("2", replies.get("=", b"")), replies[line[0]]))
    return groups


def write_overlay(overlay: Overlay, version: str) -> None:
    """Write the overlay file, steps of one group and reason together."""
    lines = [
        f"# Where Redis 7.2 (recorded from a server with redis_version {version}) answers otherwise than",
        "# the recordings, with the reason. A step is named by its group, its number there and its text.",
    ]
    group, reason = "", ""
    for (key, number), difference in overlay.items():
        if key != group:
            lines += ["", f"== {key}"]
            reason = ""
        if difference.reason != reason:
            lines.append(f"? {difference.reason}")
        group, reason = key, difference.reason
        lines += [f"> {number} {difference.recorded.title}", *_reply_lines(difference.recorded)]
    OVERLAY.write_text("\n".join(lines) + "\n")


def read_overlay() -> Overlay:
    """Return the overlay: (group key, step number) to difference."""
    overlay: Overlay = {}
    if not OVERLAY.exists():
        return overlay
    group = reason = title = ""
    number, second = 0, b""
    for line in OVERLAY.read_text().splitlines():
        mark, rest = line[:2], line[2:]
        if line.startswith("== "):
            group = line[3:]
        elif mark == "? ":
            reason = rest
        elif mark == "> ":
            digits, _, title = rest.partition(" ")
            number = int(digits)
        elif mark == "2 ":
            second = unescaped(rest)
        elif mark in ("= ", "3 "):
            reply = unescaped(rest)
            overlay[group, number] = Difference(
                reason, Recorded(title, reply if mark == "= " else second, reply)
            )
    return overlay


def escaped(reply: bytes) -> str:
    r"""Return bytes as printable text: \r \n \\ and \xNN."""
    return reply.decode("latin-1").translate(_ESCAPE_TABLE)


def unescaped(text: str) -> bytes:
    """Return the bytes that `escaped` showed."""
    return _ESCAPED.sub(_unescape_one, text).encode("latin-1")


def _unescape_one(found: re.Match[str]) -> str:
    mark = found[1]
    if mark[0] == "x":
        return chr(int(mark[1:], 16))
    return {"r": "\r", "n": "\n"}.get(mark, mark)


def _reply_lines(step: Recorded) -> list[str]:
    if step.resp2 == step.resp3:
        return [f"= {escaped(step.resp2)}"]
    return [f"2 {escaped(step.resp2)}", f"3 {escaped(step.resp3)}"]


_ESCAPE_TABLE = {number: f"\\x{number:02x}" for number in [*range(32), *range(127, 256)]}
_ESCAPE_TABLE |= {ord("\r"): "\\r", ord("\n"): "\\n", ord("\\"): "\\\\"}
