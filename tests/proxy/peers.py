"""What a proxy stands between, for tests: nutcracker, tagged servers, and proxies of this process.

`Nutcracker` is Debian's, as a process. `Tagged` are servers that answer every request
with their own number: they tell where a request went. `proxy_process` is `holdfast
proxy` itself. Not here: redis-server (`tests.peers`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.peers import REPOSITORY, require_peer
from tests.ports import free_port
from tests.wire import WireClient


def pool_text(name: str, port: int | str, servers: Sequence[str], **directives: object) -> str:
    """Return one pool of a nutcracker.yml."""
    listen = port if isinstance(port, str) else f"127.0.0.1:{port}"
    lines = [f"{name}:", f"  listen: {listen}", "  redis: true"]
    lines += [f"  {key}: {value}" for key, value in directives.items()]
    return "\n".join([*lines, "  servers:", *(f"   - {server}" for server in servers)]) + "\n"


class Process:
    """A program in a directory of its own, ended by its process id."""

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        self.directory = directory
        self.log_path = directory / "output.log"
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                list(command),
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_for(self, port: int) -> None:
        """Return once somebody listens on the port."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(self.log_path.read_text(errors="replace"))
            with contextlib.suppress(OSError):
                WireClient(port).close()
                return
            time.sleep(0.01)  # nothing listens yet, and there is no event to await
        raise RuntimeError(self.log_path.read_text(errors="replace"))

    def end(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)


@contextlib.contextmanager
def nutcracker(text: str, port: int) -> Iterator[Process]:
    """Run nutcracker with a configuration until the block ends."""
    program = require_peer("nutcracker")
    with tempfile.TemporaryDirectory(prefix="holdfast-nutcracker-") as directory:
        path = Path(directory) / "nutcracker.yml"
        path.write_text(text)
        command = [program, "-c", str(path), "-s", str(free_port()), "-a", "127.0.0.1", "-v", "2"]
        process = Process(
            [*command, "-o", str(Path(directory) / "log"), "-p", f"{directory}/pid"], Path(directory)
        )
        try:
            process.wait_for(port)
            yield process
        finally:
            process.end()


@contextlib.contextmanager
def proxy_process(text: str, port: int, *options: str, stats_port: int = 0) -> Iterator[Process]:
    """Run `holdfast proxy` with a configuration until the block ends."""
    with tempfile.TemporaryDirectory(prefix="holdfast-proxy-") as directory:
        path = Path(directory) / "proxy.yml"
        path.write_text(text)
        code = "from holdfast.cli.main import main; main()"
        command = [sys.executable, "-c", code, "proxy", "-c", str(path), "-s", str(stats_port), *options]
        process = Process([*command, "-a", "127.0.0.1"], Path(directory))
        try:
            process.wait_for(port)
            yield process
        finally:
            process.end()


class _Answerer(asyncio.Protocol):
    """Answers each GET with a number. The keys must not hold an asterisk."""

    def __init__(self, reply: bytes) -> None:
        self._reply = reply
        self._carry = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        chunk = self._carry + data
        self._carry = chunk[-3:]
        self._transport.write(self._reply * chunk.count(b"*2\r\n"))


class Tagged:
    """Servers in a thread, each of which answers every request of two words with its number."""

    def __init__(self, count: int) -> None:
        self.ports: list[int] = []
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(count, ready), daemon=True)
        self._thread.start()
        ready.wait(10)

    def _run(self, count: int, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)

        async def listen() -> None:
            for number in range(count):
                reply = b":%d\r\n" % number
                server = await self._loop.create_server(lambda reply=reply: _Answerer(reply), "127.0.0.1", 0)
                self.ports.append(server.sockets[0].getsockname()[1])
            ready.set()

        self._loop.run_until_complete(listen())
        self._loop.run_forever()

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


def answers(port: int, keys: Sequence[bytes], at_once: int = 500) -> list[int]:
    """Ask for each key and return the number of the server that answered."""
    numbers: list[int] = []
    client = WireClient(port, timeout_seconds=60)
    try:
        for start in range(0, len(keys), at_once):
            batch = keys[start : start + at_once]
            client.send(b"".join(b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(key), key) for key in batch))
            replies = bytearray()
            while replies.count(b"\n") < len(batch):
                replies += client.socket.recv(1 << 18)
            numbers += [int(line[1:]) if line[:1] == b":" else -1 for line in replies.split()[: len(batch)]]
    finally:
        client.close()
    return numbers
