"""`holdfast-sentinel`: the command line of a Sentinel, a drop-in for redis-sentinel's.

It reads the file: `sentinel` lines are Sentinel's, all others the server's own, with
Sentinel's defaults for port and protected mode. Then it leaves the terminal where asked
to, and hands over to `holdfast.node.sentinel_process.run`.

How to read it: `main` is the order of events; `read_configuration` is pure but for the disk.
"""

from __future__ import annotations

import os
import posixpath
import sys
from typing import TYPE_CHECKING

from holdfast import __version__

if TYPE_CHECKING:
    from holdfast.sentinel.config_file import Line
    from holdfast.server.config import Configuration
    from holdfast.server.host import Disk

USAGE = """\
Usage: holdfast-sentinel /path/to/sentinel.conf [options]
       holdfast-sentinel -v or --version
       holdfast-sentinel -h or --help

Example:
       holdfast-sentinel /etc/sentinel.conf --port 26380
"""
NO_FILE = "Sentinel needs config file on disk to save state. Exiting..."


def main(arguments: list[str] | None = None) -> int:
    """Run a Sentinel until it shuts down; return the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    words = [each for each in words if each != "--sentinel"]
    if words and words[0] in ("-v", "--version"):
        print(f"Holdfast sentinel v={__version__} redis=7.2 python={sys.version.split()[0]}")
        return 0
    if words and words[0] in ("-h", "--help"):
        sys.stderr.write(USAGE)
        return 1
    from holdfast.server.config import ConfigFileError
    from holdfast.server.machine import MachineDisk

    try:
        configuration, lines = read_configuration(words, MachineDisk(), os.getcwd())
    except ConfigFileError as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    if not configuration.config_file:
        sys.stderr.write(f"{NO_FILE}\n")
        return 1
    if not os.access(configuration.config_file, os.W_OK):
        sys.stderr.write(f"Sentinel config file {configuration.config_file} is not writable. Exiting...\n")
        return 1
    os.chdir(configuration["dir"])
    from holdfast.server.process import daemonize, remove_pid_file, supervision, write_pid_file

    supervised = supervision(configuration["supervised"], os.environ, configuration.tell)
    configuration.assign("supervised", supervised)
    background = configuration["daemonize"] and supervised == "no"
    if background:
        daemonize()
    pid_file = configuration.path("pidfile") or ("/var/run/redis-sentinel.pid" if background else "")
    if pid_file and (problem := write_pid_file(pid_file)):
        configuration.tell("warning", problem)
    try:
        from holdfast.node.sentinel_process import run

        return run(configuration, lines)
    finally:
        if pid_file:
            remove_pid_file(pid_file)


def read_configuration(words: list[str], disk: Disk, directory: str) -> tuple[Configuration, list[Line]]:
    """Read file and options; return the server's configuration and the `sentinel` lines.

    Raises `ConfigFileError`.
    """
    from holdfast.sentinel.config_file import Line, is_sentinel_line
    from holdfast.sentinel.settings import PORT
    from holdfast.server.config import ConfigFileError, Configuration, as_text, read_arguments
    from holdfast.server.config.reader import COMMAND_LINE, Reader
    from holdfast.server.config.words import split_words

    command_line = read_arguments(words)
    configuration = Configuration(disk, directory)
    configuration.assign("port", PORT)
    configuration.assign("protected-mode", False)
    reader, lines = Reader(configuration), []
    sources = [(command_line.options, COMMAND_LINE)]
    if command_line.config_file:
        path = posixpath.normpath(posixpath.join(directory, command_line.config_file))
        configuration.config_file = path
        try:
            file = disk.open(path, "rb")
            try:
                sources.insert(0, (as_text(file.read()), path))
            finally:
                file.close()
        except OSError as error:
            reason = os.strerror(error.errno or 2)
            raise ConfigFileError(f"Fatal error, can't open config file '{path}': {reason}") from None
    for content, source in sources:
        others = []
        for number, text in enumerate(content.split("\n"), 1):
            if not is_sentinel_line(text):
                others.append(text)
                continue
            others.append("")
            cut = split_words(text.strip(" \t\r\n"))
            if cut is None:
                raise ConfigFileError("Unbalanced quotes in configuration line", source, number, text)
            lines.append(Line(tuple(cut[1:]), number, text.strip()))
        reader.read_text("\n".join(others), source)
    reader.finish()
    return configuration, lines


if __name__ == "__main__":
    sys.exit(main())
