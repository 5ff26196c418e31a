"""Plays a case group on a live server and returns what it answered.

`Player` owns the connections of one server; `play` runs one group in one protocol and
returns one normalised reply per step. It judges nothing: that is the test's part.

How to read it: `play`, then `_Stage`, which holds the connections of one run.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from tests.conformance.casefile import CaseGroup, Step
from tests.conformance.compare import normalise
from tests.peers import Peer
from tests.wire import Closed, Group, WireClient, parse, render

CLOSED = b"(closed)"
SILENCE = b"(no reply in time)"
NOT_RUN = b"(not run)"
REPLY_LIMIT_SECONDS = 5.0
_SUBSTITUTE = re.compile(rb"\$\{(id|address):(\w+)\}")


class Player:
    """Plays groups on servers that it starts by options and keeps until `close`."""

    def __init__(self, start: Callable[..., Peer]) -> None:
        self._start = start
        self._peers: dict[tuple[str, ...], Peer] = {}

    def play(self, group: CaseGroup, protocol: int) -> list[bytes]:
        """Return the normalised reply of every step, then what was left unread, if anything."""
        with _Stage(self._peer(group.server_options), group, protocol) as stage:
            return stage.run()

    def version(self) -> str:
        """Return the redis_version that the server tells."""
        with self._peer(()).connect() as client:
            found = re.search(rb"redis_version:(\S+)", client.command(b"INFO", b"server"))
        return found[1].decode() if found else "unknown"

    def close(self) -> None:
        """Stop all servers."""
        for peer in self._peers.values():
            peer.stop()
        self._peers.clear()

    def _peer(self, options: tuple[str, ...]) -> Peer:
        peer = self._peers.get(options)
        if peer is not None and not peer.alive():
            peer.stop()
            peer = None
        if peer is None:
            peer = self._peers[options] = self._start("--enable-debug-command", "yes", *options)
        return peer


class _Stage:
    """One run of one group: its connections, and a control connection beside them."""

    def __init__(self, peer: Peer, group: CaseGroup, protocol: int) -> None:
        self.peer = peer
        self.group = group
        self.protocol = protocol
        self.clients: dict[str, WireClient] = {}
        self.changed: list[tuple[bytes, bytes]] = []

    def __enter__(self) -> _Stage:
        self.control = self.peer.connect()
        for words in (
            (b"CLIENT", b"UNPAUSE"),
            (b"FLUSHALL",),
            (b"SCRIPT", b"FLUSH"),
            (b"CONFIG", b"RESETSTAT"),
        ):
            self.control.command(*words)
        for name, value in self.group.configuration:
            before = parse(self.control.command(b"CONFIG", b"GET", name))
            if isinstance(before, Group) and before.items and isinstance(before.items[1], bytes):
                self.changed.append((name, before.items[1]))
            self.control.command(b"CONFIG", b"SET", name, value)
        return self

    def __exit__(self, *unused: object) -> None:
        for client in self.clients.values():
            client.close()
        try:
            for name, value in self.changed:
                self.control.command(b"CONFIG", b"SET", name, value)
        except OSError:
            pass  # a server that ended is reported by the replies it did not give
        self.control.close()

    def run(self) -> list[bytes]:
        replies: list[bytes] = []
        for step in self.group.steps:
            if replies and SILENCE in replies[-1]:
                replies += [NOT_RUN] * (len(self.group.steps) - len(replies))
                return replies
            other_protocol = "resp3" if self.protocol == 2 else "resp2"
            replies.append(NOT_RUN if other_protocol in step.directives else self._perform(step))
        for name in list(self.clients):
            try:
                unread = self.clients[name].leftover()
            except TimeoutError:
                unread = b"(connection was not closed)"
            if unread:
                replies.append(b"unread on %b: %b" % (name.encode(), unread))
        return replies

    def _perform(self, step: Step) -> bytes:
        try:
            if not step.reads:
                sent = self._send(step)
                if sent is not None:
                    return sent
            if "closes" in step.directives:
                rest = self._client(step.connection).read_to_end()
                self._forget(step.connection)
                return rest + CLOSED
            if "until" in step.directives:
                return self._until(step)
            count = step.reads or int(step.directives.get("replies", "1"))
            client = self._client(step.connection)
            replies = [normalise(client.read(), step.directives) for _ in range(count)]
            return b"".join(sorted(replies) if "unordered" in step.directives else replies)
        except Closed as closed:
            self._forget(step.connection)
            return closed.partial + CLOSED
        except TimeoutError:
            self._forget(step.connection)
            return SILENCE
        except (ConnectionError, ValueError) as error:
            self._forget(step.connection)
            return CLOSED if isinstance(error, ConnectionError) else f"({error})".encode()

    def _send(self, step: Step) -> bytes | None:
        """Send a step; return its whole outcome when no reply is to be read now."""
        directives = step.directives
        if "scan" in directives:
            return self._scan(step)
        words = [_SUBSTITUTE.sub(self._substituted, word) for word in step.words]
        content = b"".join(words) if "raw" in directives else _encoded(words)
        client = self._client(step.connection)
        if "blocks" in directives:
            before = self._blocked_clients()
            client.send(content)
            deadline = time.monotonic() + REPLY_LIMIT_SECONDS
            while self._blocked_clients() <= before:
                if time.monotonic() > deadline:
                    return b"(did not block) " + SILENCE
            return b"(blocks)"
        if "split" in directives:
            for position in range(len(content)):
                client.send(content[position : position + 1])
        else:
            client.send(content)
        return b"(sent)" if "sends" in directives else None

    def _until(self, step: Step) -> bytes:
        """Ask again until the reply holds the wanted text; return that reply."""
        client = self._client(step.connection)
        deadline = time.monotonic() + REPLY_LIMIT_SECONDS
        reply = client.read()
        while step.directives["until"].encode() not in reply:
            if time.monotonic() > deadline:
                return SILENCE
            reply = client.command(*step.words)
        return reply

    def _scan(self, step: Step) -> bytes:
        """Follow a SCAN command's cursor to its end; return what it found, sorted, once each."""
        words = list(step.words)
        place = 1 if words[0].upper() == b"SCAN" else 2
        found: set[tuple[bytes, ...]] = set()
        width = 2 if words[0].upper() in (b"HSCAN", b"ZSCAN") else 1
        while True:
            reply = self._client(step.connection).command(*words)
            value = parse(reply)
            if not isinstance(value, Group) or not value.items:
                return reply
            cursor, elements = value.items
            assert isinstance(cursor, bytes) and isinstance(elements, Group) and elements.items is not None
            flat = [render(item) for item in elements.items]
            found |= {tuple(flat[place : place + width]) for place in range(0, len(flat), width)}
            if cursor == b"0":
                return b"scanned: " + b" ".join(b"".join(item) for item in sorted(found))
            words[place] = cursor

    def _client(self, name: str) -> WireClient:
        client = self.clients.get(name)
        if client is None:
            client = WireClient(self.peer.port, timeout_seconds=REPLY_LIMIT_SECONDS)
            self.clients[name] = client
            if self.protocol == 3:
                client.command(b"HELLO", b"3")
        return client

    def _forget(self, name: str) -> None:
        client = self.clients.pop(name, None)
        if client is not None:
            client.close()

    def _substituted(self, found: re.Match[bytes]) -> bytes:
        client = self._client(found[2].decode())
        if found[1] == b"address":
            host, port = client.socket.getsockname()
            return b"%b:%d" % (host.encode(), port)
        return b"%d" % int(client.command(b"CLIENT", b"ID")[1:])

    def _blocked_clients(self) -> int:
        found = re.search(rb"blocked_clients:(\d+)", self.control.command(b"INFO", b"clients"))
        return int(found[1]) if found else 0


def _encoded(words: Sequence[bytes]) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
