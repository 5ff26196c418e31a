"""Sentinel groups behind a proxy, for tests: the section of the file, and clients that write without pause.

What it is: `settled` starts a group, `sentinel_pool` writes the section, `Writer` is a client
that knows of one address only. What it is not: the group itself (`tests.sentinel.group`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import redis

from tests.sentinel.group import Group, group, until


@contextmanager
def settled(nodes: str, sentinels: str, count: int = 3, down_after_ms: int = 600) -> Iterator[Group]:
    """Hold a group of `count` nodes and three Sentinels that know each other."""
    with group(down_after_ms, 6000) as made:
        for _ in range(count):
            made.add_node(nodes).wait_ready()
        for each in made.nodes[1:]:
            until(lambda each=each: made.link_up(each), "a replica is in sync")
        for _ in range(3):
            made.add_sentinel(sentinels)
        made.settle()
        yield made


def sentinel_pool(port: int, sentinels: Sequence[int], **directives: object) -> str:
    """Return the section of a pool of one group."""
    lines = ["cache:", f"  listen: 127.0.0.1:{port}", "  redis: true"]
    lines += [f"  {key.replace('__', '-')}: {value}" for key, value in directives.items()]
    lines += [
        "  sentinels:",
        *(f"   - 127.0.0.1:{each}" for each in sentinels),
        "  masters:",
        "   - mymaster",
    ]
    return "\n".join(lines) + "\n"


class Writer:
    """Appends numbers to a list of its own, several at once, and notes what came of them."""

    def __init__(self, port: int, name: str, batch: int = 5) -> None:
        self.name, self._batch = name, batch
        self.answered: list[float] = []
        self.acknowledged: list[int] = []
        self.errors: list[str] = []
        self._client = redis.Redis(port=port, socket_timeout=30, retry=None)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        number = 0
        while not self._stop.is_set():
            pipe = self._client.pipeline(transaction=False)
            for place in range(self._batch):
                pipe.rpush(self.name, number + place)
            try:
                replies = pipe.execute(raise_on_error=False)
            except redis.RedisError as error:
                self.errors.append(str(error))
                replies = []
            for place, reply in enumerate(replies):
                if isinstance(reply, int):
                    self.acknowledged.append(number + place)
                else:
                    self.errors.append(str(reply))
            self.answered.append(time.monotonic())
            number += self._batch

    def stop(self) -> None:
        """Write no more."""
        self._stop.set()
        self._thread.join(30)
        self._client.close()

    def outage_ms(self, first: int = 0) -> float:
        """Return the longest time between two answers, from the `first` on."""
        return max(
            (after - before) * 1000 for before, after in pairwise(self.answered[first - 1 if first else 0 :])
        )


@contextmanager
def writers(port: int, count: int = 3) -> Iterator[list[Writer]]:
    """Let clients write until the block ends; at least 20 batches are answered before it begins."""
    made = [Writer(port, f"list{number}") for number in range(count)]
    try:
        until(lambda: all(len(each.answered) > 20 for each in made), "the writers write")
        yield made
    finally:
        for each in made:
            each.stop()


def await_another_primary(made: Group, old: int) -> int:
    """Wait until all living Sentinels name another primary; return its port."""
    alive = [each for each in made.sentinels if each.process.poll() is None]
    until(lambda: all(made.primary_of(each) != old for each in alive), "another leads", 30)
    return made.primary_of(alive[0])


def write_past(made: list[Writer]) -> None:
    """Wait until every writer has gone on for a while."""
    counts = [len(each.answered) for each in made]
    until(
        lambda: all(len(each.answered) > count + 20 for each, count in zip(made, counts, strict=True)),
        "writes go on",
    )


def lists_of_client(client: redis.Redis, made: list[Writer]) -> list[list[int]]:
    """Read the writers' lists."""
    return [[int(each) for each in client.lrange(writer.name, 0, -1)] for writer in made]
