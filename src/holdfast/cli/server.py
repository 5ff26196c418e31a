"""`holdfast-server`: the command line of the server, a drop-in for redis-server's.

It reads the arguments, makes a `Configuration`, leaves the terminal where asked
to, and hands over to `holdfast.node.process.run`. Nothing heavy is imported
before that: a wrong option is told at once, and the first PONG comes soon.

How to read it: `main` is the order of events; the functions below it are its steps.
"""

from __future__ import annotations

import os
import sys

from holdfast import __version__

USAGE = """\
Usage: holdfast-server [/path/to/redis.conf] [options] [-]
       holdfast-server - (read config from stdin)
       holdfast-server -v or --version
       holdfast-server -h or --help
       holdfast-server --test-memory <megabytes>
       holdfast-server --check-system

Examples:
       holdfast-server (run the server with default conf)
       echo 'maxmemory 128mb' | holdfast-server -
       holdfast-server /etc/redis/6379.conf
       holdfast-server --port 7777
       holdfast-server --port 7777 --replicaof 127.0.0.1 8888
       holdfast-server /etc/myredis.conf --loglevel verbose -

Sentinel mode:
       holdfast-server /etc/sentinel.conf --sentinel
"""
NO_MEMORY_TEST = (
    "holdfast-server: --test-memory does not test anything: a program in Python cannot choose the memory "
    "that it touches. Use memtest86+, memtester or redis-server --test-memory."
)
NO_SYSTEM_CHECK = (
    "holdfast-server: --check-system does not check anything yet; redis-server --check-system tells of "
    "slow clocks, transparent huge pages and overcommit, which matter here as well."
)


def main(arguments: list[str] | None = None) -> int:
    """Run the server until it shuts down; return the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    status = _answer_at_once(words)
    if status is not None:
        return status
    from holdfast.server import python_memory

    python_memory.watch()
    from holdfast.server.config import ConfigFileError, load
    from holdfast.server.machine import MachineDisk

    try:
        configuration = load(words, MachineDisk(), os.getcwd(), _standard_input)
    except ConfigFileError as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    if not words:
        configuration.tell(
            "warning",
            "Warning: no config file specified, using the default config. "
            "In order to specify a config file use holdfast-server /path/to/redis.conf",
        )
    os.chdir(configuration["dir"])
    from holdfast.server.process import (
        DEFAULT_PID_FILE,
        daemonize,
        remove_pid_file,
        supervision,
        write_pid_file,
    )

    supervised = supervision(configuration["supervised"], os.environ, configuration.tell)
    configuration.assign("supervised", supervised)
    background = configuration["daemonize"] and supervised == "no"
    if background:
        daemonize()
    pid_file = configuration.path("pidfile") or (DEFAULT_PID_FILE if background else "")
    if pid_file:
        problem = write_pid_file(pid_file)
        if problem:
            configuration.tell("warning", problem)
    try:
        from holdfast.node.process import run

        return run(configuration) or 0
    finally:
        if pid_file:
            remove_pid_file(pid_file)


def _answer_at_once(words: list[str]) -> int | None:
    """Answer what needs no server; return the exit status, None to go on."""
    first = words[0] if words else ""
    if first in ("-v", "--version"):
        bits = sys.maxsize.bit_length() + 1
        python = sys.version.split()[0]
        print(f"Holdfast server v={__version__} malloc=libc bits={bits} redis=7.2 python={python}")
        return 0
    if first in ("-h", "--help"):
        sys.stderr.write(USAGE)
        return 1
    if first == "--test-memory":
        return _refuse(NO_MEMORY_TEST)
    if first == "--check-system":
        return _refuse(NO_SYSTEM_CHECK)
    if "--sentinel" in words:
        from holdfast.cli.sentinel import main as run_sentinel

        return run_sentinel(words)
    return None


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return 1


def _standard_input() -> str:
    """Read standard input to its end."""
    from holdfast.server.config.words import as_text

    return as_text(sys.stdin.buffer.read())


if __name__ == "__main__":
    sys.exit(main())
