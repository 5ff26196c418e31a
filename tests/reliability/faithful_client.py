"""A client that stays with one node, whatever Sentinels say: run as a process beside it.

What it is: SET after SET over one connection, each acknowledgement a line `number microseconds` on
standard output, by the clock that all processes of a machine share (CLOCK_MONOTONIC) when it had
come; a lost connection is opened again. It ends when its standard input closes.
What it is not: a client that asks Sentinels.

Run: python tests/reliability/faithful_client.py HOST PORT
"""

from __future__ import annotations

import select
import socket
import sys
import time


def main() -> None:
    """Write until told to stop."""
    host, port, number = sys.argv[1], int(sys.argv[2]), 0
    connection: socket.socket | None = None
    while not select.select([sys.stdin], [], [], 0)[0]:
        try:
            if connection is None:
                connection = socket.create_connection((host, port), 1)
                connection.settimeout(30)
            number += 1
            key = b"f:%d" % number
            connection.sendall(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\nx\r\n" % (len(key), key))
            reply = connection.recv(4096)
            if not reply:
                raise ConnectionResetError
            if reply == b"+OK\r\n":
                print(number, time.monotonic_ns() // 1000)
            elif select.select([sys.stdin], [], [], 0.01)[0]:
                break  # an error: ask less often
        except OSError:
            connection = None
            select.select([sys.stdin], [], [], 0.05)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
