"""The log: line format, levels, where lines go."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path

import pytest

from holdfast.server.config import load
from holdfast.server.log import LEVELS, Log
from holdfast.server.machine import MachineDisk
from holdfast.server.syslog import add_syslog
from tests.server.conftest import StartRedis

REDIS_LINE = re.compile(rb"^\d+:[MSCX] \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3} [.\-*#] .+\n$")


class StandingClock:
    """A clock that stands at one moment."""

    def wall_us(self) -> int:
        return 1_700_000_000_123_456

    def boot_us(self) -> int:
        return 0


def make_log(written: list[bytes], path: str = "", level: str = "notice") -> Log:
    return Log(
        StandingClock(), MachineDisk(), 42, written.append, level=level, path=path, local_time=time.gmtime
    )


def test_lines_look_as_redis_writes_them(start_redis: StartRedis) -> None:
    written: list[bytes] = []
    log = make_log(written)
    log.notice("Ready to accept connections")
    assert written == [b"42:M 14 Nov 2023 22:13:20.123 * Ready to accept connections\n"]
    assert REDIS_LINE.match(written[0])
    theirs = start_redis().said.splitlines(keepends=True)
    assert REDIS_LINE.match(theirs[-1])


@pytest.mark.parametrize("level", LEVELS)
def test_each_level_hides_what_is_below_it(level: str) -> None:
    written: list[bytes] = []
    log = make_log(written, level=level)
    for name in LEVELS[:4]:
        getattr(log, name)("x")
    assert b"".join(line[-4:-3] for line in written) == b".-*#"[LEVELS.index(level) :]
    assert log.writes("warning") == (level != "nothing")


def test_role_and_line_breaks_are_shown() -> None:
    written: list[bytes] = []
    log = make_log(written)
    log.role = "S"
    log.warning("two\nlines \udcff")
    assert written[0].startswith(b"42:S ") and written[0].endswith(b"# two\\nlines \xff\n")


def test_a_log_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = make_log([], path=str(path))
    log.notice("one")
    path.rename(tmp_path / "log.1")
    log.notice("two")
    assert path.read_bytes().endswith(b"* two\n")
    assert (tmp_path / "log.1").read_bytes().endswith(b"* one\n")


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    make_log([], path=str(tmp_path / "missing/log")).notice("lost")


def test_syslog_gets_each_line_with_ident_facility_and_priority(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(tmp_path / "log"))
        daemon.settimeout(10)
        log = make_log([], level="debug")
        options = ["--syslog-enabled", "yes", "--syslog-ident", "cache", "--syslog-facility", "local3"]
        add_syslog(log, load(options, MachineDisk(), str(tmp_path)), str(tmp_path / "log"))
        got = []
        for level in ("debug", "verbose", "notice", "warning"):
            log.write(level, f"a {level}\nin two lines")
            got.append(daemon.recv(200))
    assert got == [
        b"<%d>cache[42]: a %b\\nin two lines\0" % (19 << 3 | priority, level)
        for priority, level in ((7, b"debug"), (6, b"verbose"), (5, b"notice"), (4, b"warning"))
    ]


def test_a_syslog_that_is_not_there_is_looked_for_again(tmp_path: Path) -> None:
    log = make_log([])
    add_syslog(log, load(["--syslog-enabled", "yes"], MachineDisk(), str(tmp_path)), str(tmp_path / "log"))
    log.notice("nobody hears this")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(tmp_path / "log"))
        daemon.settimeout(10)
        log.notice("now there is one")
        assert daemon.recv(200) == b"<133>redis[42]: now there is one\0"
