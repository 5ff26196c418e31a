"""The data stand in huge pages where the kernel gives them, unless `disable-thp` says no."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from holdfast.server.process import splits_huge_pages
from tests.persistence.nodes import ServerProcess

ENABLED = Path("/sys/kernel/mm/transparent_hugepage/enabled")
DATA_KB = 64 * 1024


@pytest.mark.parametrize(
    ("release", "does"),
    [
        ("6.1.0-18-amd64", True),
        ("5.8.0", True),
        ("5.4.0-100-generic", False),
        ("4.18.0-553.el8", False),
        ("", False),
    ],
)
def test_old_kernels_copy_whole_huge_pages(release: str, does: bool) -> None:
    assert splits_huge_pages(release) == does


def huge_kb_after_filling(server: ServerProcess) -> int:
    value = b"x" * 1000
    with server.connect() as connection:
        for part in range(DATA_KB // 1024):
            sets = b"".join(
                b"*3\r\n$3\r\nSET\r\n$8\r\n%08d\r\n$1000\r\n%b\r\n" % (part * 1024 + number, value)
                for number in range(1024)
            )
            connection.sendall(sets)
            replies = b""
            while len(replies) < 5 * 1024:
                replies += connection.recv(1 << 16)
    rollup = Path(f"/proc/{server.process.pid}/smaps_rollup").read_text()
    found = re.search(r"AnonHugePages:\s+(\d+) kB", rollup)
    assert found is not None
    return int(found[1])


@pytest.mark.skipif(
    not ENABLED.exists() or "[madvise]" not in ENABLED.read_text(), reason="the kernel gives none, or to all"
)
@pytest.mark.parametrize("refused", ["no", "yes"])
def test_what_is_written_stands_in_huge_pages(tmp_path: Path, refused: str) -> None:
    with ServerProcess(tmp_path, "--disable-thp", refused) as server:
        huge_kb = huge_kb_after_filling(server)
    assert huge_kb > DATA_KB // 2 if refused == "no" else huge_kb == 0
