"""The directory of a deployment: what stands in it, and who may write there.

    holdfast-data/deployment.json   what it was when it last ran: names and addresses, formed or not
                  run.json          pids of the supervisor and its children
                  lock              held by the supervisor
                  control.sock      how `status`, `down` and `drill` reach it
                  logs/NAME.log     what each process prints
                  NAME/             its configuration and its data

How to read it: `Directory`; one method a file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from typing import Any

SOCKET_PATH_MAX = 100
"""Unix sockets have short paths (108 bytes on Linux, 104 on macOS)."""
DATA_NAMES = ("dump.rdb", "appendonlydir", "appendonly.aof")


class DirectoryInUse(Exception):
    """Another supervisor runs this deployment; the text says which."""


@dataclass(slots=True)
class Directory:
    """A deployment's files. `path` is absolute."""

    path: str
    _lock: int = field(default=-1)

    @property
    def socket_path(self) -> str:
        """Where the supervisor listens."""
        path = f"{self.path}/control.sock"
        if len(path.encode()) <= SOCKET_PATH_MAX:
            return path
        short = hashlib.sha1(self.path.encode(), usedforsecurity=False).hexdigest()[:16]
        return f"{tempfile.gettempdir()}/holdfast-{short}.sock"

    def lock(self) -> None:
        """Become the only supervisor. Raises `DirectoryInUse` and OSError."""
        os.makedirs(self.path, exist_ok=True)
        lock = os.open(f"{self.path}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.read(lock, 20).decode().strip()
            os.close(lock)
            raise DirectoryInUse(f"{self.path} is run by process {pid} already") from None
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        self._lock = lock

    def unlock(self) -> None:
        """Let another supervisor in."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def read(self, name: str) -> dict[str, Any]:
        """Return a JSON file's content; empty if it is not there or broken."""
        try:
            with open(f"{self.path}/{name}", encoding="utf-8") as file:
                content = json.load(file)
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Replace a JSON file in one step."""
        self.write_text(f"{self.path}/{name}", json.dumps(content, indent=1, sort_keys=True) + "\n")

    def write_text(self, path: str, text: str) -> None:
        """Replace a file in one step; nobody else may read it, as it may hold a password."""
        with open(f"{path}.new", "w", encoding="utf-8", opener=_private) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)

    def read_text(self, path: str) -> str:
        """Return a file's text; empty if it is not there."""
        try:
            with open(path, encoding="utf-8") as file:
                return file.read()
        except OSError:
            return ""

    def log_path(self, name: str) -> str:
        """Where a process's log is."""
        return f"{self.path}/logs/{name}.log"

    def prepare(self, name: str) -> None:
        """Make the directories of a process."""
        os.makedirs(f"{self.path}/{name}", exist_ok=True)
        os.makedirs(f"{self.path}/logs", exist_ok=True)

    def has_data(self, name: str) -> bool:
        """Tell whether a data node has files of its keys."""
        return any(os.path.exists(f"{self.path}/{name}/{each}") for each in DATA_NAMES)

    def empty(self, name: str) -> None:
        """Remove everything that a process keeps, as a machine that lost its disk."""
        shutil.rmtree(f"{self.path}/{name}", ignore_errors=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
