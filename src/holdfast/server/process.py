"""The server as a process of its own: background, pid file, service manager.

Only the command line uses this: it forks and touches the file system behind the
host's back, which a node in a test or in somebody's program must never do.

How to read it: `supervision` decides who watches the process, `daemonize` leaves
the terminal, `use_huge_pages` is for the memory, `write_pid_file` and `remove_pid_file` frame the run.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, MutableMapping

from holdfast.engine import huge_pages
from holdfast.server.config.checks import expand_title
from holdfast.server.config.configuration import Configuration

DEFAULT_PID_FILE = "/var/run/redis.pid"
"""Where a daemon without `pidfile` writes its pid, as Redis does."""

Tell = Callable[[str, str], None]
"""Takes a loglevel and a sentence."""


def daemonize() -> None:
    """Go on in a child of its own session with standard streams on /dev/null; the parent exits with 0."""
    if os.fork() != 0:
        os._exit(0)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    if nothing > 2:
        os.close(nothing)


def use_huge_pages(configuration: Configuration) -> None:
    """Let the data stand in huge pages with `disable-thp no`, where the kernel is good at it; else nothing.

    Kernels before 5.8 copy all of a huge page where one byte of it is written after a fork.
    """
    if configuration["disable-thp"]:
        huge_pages.use(False)
    elif splits_huge_pages(os.uname().release):
        huge_pages.use(True)


def splits_huge_pages(release: str) -> bool:
    """Tell whether a Linux of this release ("6.1.0-18-amd64") copies 4 kB of a shared huge page, not all."""
    numbers = re.match(r"(\d+)\.(\d+)", release)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= (5, 8)


def write_pid_file(path: str) -> str:
    """Write the pid of this process; return why not, "" for success."""
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:
        return f"Failed to write PID file: {error.strerror}"
    return ""


def remove_pid_file(path: str) -> None:
    """Remove the pid file, unless another process has written its own since."""
    try:
        with open(path, encoding="ascii") as file:
            if file.read().strip() != str(os.getpid()):
                return
        os.remove(path)
    except (OSError, UnicodeDecodeError):
        return


def supervision(mode: str, environment: MutableMapping[str, str], tell: Tell) -> str:
    """Return "systemd", "upstart" or "no" for `supervised` and the environment.

    Upstart is signalled at once, by stopping until it continues the process.
    """
    if mode == "auto":
        mode = "no"
        if "UPSTART_JOB" in environment:
            mode = "upstart"
        elif "NOTIFY_SOCKET" in environment:
            mode = "systemd"
    if mode == "upstart":
        if "UPSTART_JOB" not in environment:
            tell("warning", "upstart supervision requested, but UPSTART_JOB not found!")
            return "no"
        tell("notice", "supervised by upstart, will stop to signal readiness.")
        os.kill(os.getpid(), signal.SIGSTOP)
        del environment["UPSTART_JOB"]
        return "upstart"
    if mode == "systemd":
        if not notify_systemd(environment, "STATUS=Holdfast is loading...\n"):
            tell("warning", "systemd supervision requested, but NOTIFY_SOCKET not found!")
            return "no"
        return "systemd"
    return "no"


def notify_systemd(environment: MutableMapping[str, str], text: str) -> bool:
    """Send a notification (sd_notify(3)), such as "READY=1\\n"; tell whether somebody listens."""
    import socket

    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(text.encode(), address)
    except OSError:
        return False
    return True


def process_title(configuration: Configuration, program: str) -> str:
    """Return the title that `proc-title-template` describes."""
    bind, port = configuration["bind"], configuration["port"]
    unix_socket = configuration["unixsocket"]
    listens_on = f"{bind[0] if bind else '*'}:{port}" if port else f"unixsocket:{unix_socket}"
    variables = {
        "title": program,
        "listen-addr": listens_on,
        "server-mode": "[cluster]" if configuration["cluster-enabled"] else "",
        "port": str(port),
        "tls-port": str(configuration["tls-port"]),
        "config-file": configuration.config_file or "-",
        "unixsocket": unix_socket,
    }
    return expand_title(configuration["proc-title-template"], variables) or program
