"""A proxy under load while its servers' connections are cut: `python -m tests.reliability.proxy_chaos`.

What it is: a long run, not part of the suite. Half of the clients keep a model of their
keys and check every reply; connections of the servers are left alone for them. Then
clients of the other kind send anything, in any state, and leave in the middle, while
connections are killed; what counts is that the proxy lives, that it has no client left
afterwards, and that the checking clients find all well once more.

How to read it: `Checker` has the model, `Vandal` has none; `main` is the order of events.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time

from tests.peers import running, start_redis_server
from tests.ports import free_port
from tests.proxy.peers import pool_text, proxy_process
from tests.wire import WireClient, encode, reply_end

CLIENTS = 30


class Checker:
    """A client that knows what its keys hold."""

    def __init__(self, number: int, luck: random.Random) -> None:
        self.number, self.luck = number, luck
        self.model: dict[bytes, bytes] = {}
        self.checked = 0

    def key(self) -> bytes:
        """Return one of its keys."""
        return b"c%d:%d" % (self.number, self.luck.randint(0, 9))

    def bulk(self, key: bytes) -> bytes:
        """Return a key's value as a reply."""
        value = self.model.get(key)
        return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)

    def step(self) -> tuple[list[list[bytes]], list[bytes]]:
        """Return requests and the replies that they must get."""
        key, value = self.key(), os.urandom(self.luck.choice([0, 1, 30, 1000, 20_000, 200_000]))
        names = [self.key() for _ in range(self.luck.randint(1, 12))]
        match self.luck.randint(0, 6):
            case 0 | 1:
                self.model[key] = value
                return [[b"SET", key, value]], [b"+OK\r\n"]
            case 2:
                return [[b"GET", key]], [self.bulk(key)]
            case 3:
                joined = b"".join(self.bulk(name) for name in names)
                return [[b"MGET", *names]], [b"*%d\r\n%s" % (len(names), joined)]
            case 4:
                gone = sum(self.model.pop(name, None) is not None for name in names)
                return [[b"DEL", *names]], [b":%d\r\n" % gone]
            case 5:
                self.model[key] = b"w"
                requests = [[b"WATCH", key], [b"MULTI"], [b"SET", key, b"w"], [b"EXEC"]]
                return requests, [b"+OK\r\n", b"+OK\r\n", b"+QUEUED\r\n", b"*1\r\n+OK\r\n"]
            case _:
                name = b"q" + key
                reply = b"*2\r\n$%d\r\n%s\r\n$1\r\n1\r\n" % (len(name), name)
                return [[b"LPUSH", name, b"1"], [b"BLPOP", name, b"5"]], [b":1\r\n", reply]

    async def run(self, port: int, until: float) -> None:
        """Check until the time is over; AssertionError for a wrong reply."""
        while time.monotonic() < until:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            buffer = bytearray()
            for _ in range(self.luck.randint(1, 30)):
                requests, expected = [], []
                for _ in range(self.luck.choice([1, 1, 5, 40])):
                    more, replies = self.step()
                    requests += more
                    expected += replies
                writer.write(b"".join(encode(words) for words in requests))
                for words, reply in zip(requests, expected, strict=True):
                    while not (end := reply_end(buffer, 0)):
                        buffer += await reader.read(1 << 16)
                    assert bytes(buffer[:end]) == reply, (words[:2], reply[:60], bytes(buffer[:60]))
                    del buffer[:end]
                    self.checked += 1
            writer.write(b"".join(encode([b"GET", self.key()]) for _ in range(200)))
            writer.transport.abort()


class Vandal:
    """A client that sends anything and leaves."""

    def __init__(self, luck: random.Random) -> None:
        self.luck = luck

    def request(self) -> bytes:
        """Return a request of any kind."""
        luck = self.luck
        keys = [b"{x%d}%d" % (luck.randint(0, 9), luck.randint(0, 5)) for _ in range(luck.randint(1, 12))]
        return encode(
            luck.choice(
                [
                    [
                        b"SET",
                        keys[0],
                        os.urandom(luck.choice([1, 5000, 3_000_000 if luck.random() < 0.02 else 9])),
                    ],
                    [b"MGET", *keys],
                    [b"MSET", *keys, *keys],
                    [b"MULTI"],
                    [b"EXEC"],
                    [b"WATCH", keys[0]],
                    [b"BLPOP", b"q", b"0.01"],
                    [b"LPUSH", b"q", b"x"],
                    [luck.choice([b"SUBSCRIBE", b"UNSUBSCRIBE", b"PSUBSCRIBE"]), keys[0]],
                    [b"PUBLISH", keys[0], b"m"],
                    [b"SELECT", b"%d" % luck.randint(0, 17)],
                    [b"HELLO", luck.choice([b"2", b"3"])],
                    [luck.choice([b"RESET", b"DISCARD", b"UNWATCH", b"PING", b"NOSUCH", b"DBSIZE"])],
                    [b"SCAN", b"0"],
                    [b"CLIENT", b"REPLY", luck.choice([b"ON", b"SKIP", b"OFF"])],
                ]
            )
        )

    async def run(self, port: int, until: float) -> None:
        """Do so until the time is over."""
        while time.monotonic() < until:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            taking = asyncio.create_task(self._take(reader))
            for _ in range(self.luck.randint(1, 20)):
                batch = b"".join(self.request() for _ in range(self.luck.choice([1, 3, 30])))
                if self.luck.random() < 0.05:
                    batch = batch[: self.luck.randint(0, len(batch))] + os.urandom(5)
                writer.write(batch)
                await asyncio.sleep(self.luck.choice([0, 0.001, 0.02]))
            taking.cancel()
            if self.luck.random() < 0.5:
                writer.transport.abort()
            else:
                writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> None:
        try:
            while await reader.read(1 << 16):
                pass
        except OSError:
            return


async def kill_connections(ports: list[int], until: float) -> None:
    """Let the servers drop their clients now and then."""
    while time.monotonic() < until:
        await asyncio.sleep(0.3)
        for port in ports:
            client = WireClient(port)
            client.command(b"CLIENT", b"KILL", b"TYPE", b"normal")
            client.close()


async def main(seconds: float, seed: int) -> int:
    """Run both halves; return the exit status."""
    luck = random.Random(seed)
    port = free_port()
    with running(start_redis_server(), start_redis_server()) as servers:
        lines = [f"127.0.0.1:{each.port}:1" for each in servers]
        with proxy_process(pool_text("p", port, lines, hash="md5", server_connections=2), port) as proxy:
            for round_number in range(2):
                checkers = [Checker(number, luck) for number in range(CLIENTS)]
                WireClient(port).command(b"FLUSHALL")
                until = time.monotonic() + seconds / 3
                await asyncio.gather(*(each.run(port, until) for each in checkers))
                print(f"round {round_number}: {sum(each.checked for each in checkers)} replies checked")
                if round_number == 0:
                    until = time.monotonic() + seconds / 3
                    vandals = [Vandal(luck).run(port, until) for _ in range(CLIENTS)]
                    ports = [each.port for each in servers]
                    await asyncio.gather(kill_connections(ports, until), *vandals, return_exceptions=True)
            await asyncio.sleep(2)
            listing = WireClient(port).value(b"CLIENT", b"LIST")
            assert isinstance(listing, bytes)
            left = len(listing.splitlines()) - 1
            print(f"{left} clients left behind; alive: {proxy.process.poll() is None}")
            print(proxy.log_path.read_text(errors="replace"))
            return 1 if left or proxy.process.poll() is not None else 0


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit(asyncio.run(main(float(words[0]) if words else 60, int(words[1]) if words[1:] else 1)))
