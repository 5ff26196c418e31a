"""A writer that asks the Sentinels whom to write to, and remembers what was acknowledged.

What it is: a thread with a client of redis-py; numbered keys, each written once. What it is
not: a measure of throughput.
"""

from __future__ import annotations

import threading
import time

import redis

from holdfast.ops.drill.phases import longest_gap
from tests.sentinel.group import Group


class Writer:
    """Writes to whoever the Sentinels name, and remembers what was acknowledged."""

    def __init__(self, made: Group, name: str, batch: int, timeout_s: float = 0.2) -> None:
        self._timeout_s = timeout_s
        self._made, self._name, self._batch = made, name, batch
        self.acknowledged: list[tuple[float, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        number, client = 0, self._find()
        while not self._stop.is_set():
            try:
                pipe = client.pipeline(transaction=False)
                for offset in range(self._batch):
                    pipe.set(f"{self._name}:{number + offset}", "x")
                replies = pipe.execute(raise_on_error=False)
                now = time.monotonic()
                good = [number + place for place, reply in enumerate(replies) if reply is True]
                self.acknowledged += [(now, each) for each in good]
                number += self._batch
                if len(good) < len(replies):
                    client = self._find()
            except (redis.ConnectionError, redis.TimeoutError):
                number += self._batch
                client = self._find()

    def _find(self) -> redis.Redis:
        while not self._stop.is_set():
            for sentinel in self._made.sentinels:
                if sentinel.process.poll() is not None:
                    continue
                try:
                    asked = redis.Redis(host=sentinel.host, port=sentinel.port, socket_timeout=0.2)
                    told = asked.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME mymaster")
                    asked.close()
                    client = redis.Redis(
                        host=told[0].decode(), port=int(told[1]), socket_timeout=self._timeout_s, retry=None
                    )
                    if client.info("replication")["role"] == "master":
                        return client
                except (redis.RedisError, TypeError):
                    continue
            time.sleep(0.005)  # as a client does that asks until a primary is known
        return redis.Redis()

    def stop(self) -> None:
        """Write no more."""
        self._stop.set()
        self._thread.join(10)

    def outage_ms(self, fault: float) -> float:
        """Return the longest gap between acknowledgements that ends after the fault."""
        times = [at for at, _ in self.acknowledged]
        return longest_gap(times, fault, times[-1]).ms
