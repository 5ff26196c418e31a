"""How other commands reach a supervisor: a socket in its directory, a line of JSON each way.

What it is: `listening` and `request`. What it is not: what is done (`answers`).

How to read it: a request is `{"do": NAME, ...}`, the answer `{"ok": true, ...}` or
`{"ok": false, "error": TEXT}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from holdfast.ops.files_on_disk import Directory

LINE_BYTES_MAX = 1 << 22
LAST_WORDS_S = 1.0
"""How long an answer may take to be read when the supervisor ends."""
Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class NotRunning(Exception):
    """No supervisor listens there."""


class RequestFailed(Exception):
    """The supervisor answered with an error."""


@asynccontextmanager
async def listening(directory: Directory, answer: Answer) -> AsyncIterator[None]:
    """Answer for a block; whoever may write to the directory may ask."""
    path = directory.socket_path
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    asking: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    reply = {"ok": True, **await answer(json.loads(line))}
                except Exception as error:  # told to whoever asked; the supervisor goes on
                    reply = {"ok": False, "error": str(error) or type(error).__name__}
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(one(reader, writer))
        asking[task] = writer
        task.add_done_callback(asking.pop)

    server = await asyncio.start_unix_server(accept, path, limit=LINE_BYTES_MAX)
    os.chmod(path, 0o600)
    try:
        yield
    finally:
        server.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        for writer in asking.values():
            writer.close()  # after what was written; its reader then comes to an end, and its task with it
        if asking and (await asyncio.wait(list(asking), timeout=LAST_WORDS_S))[1]:
            for writer in asking.values():
                writer.transport.abort()
            await asyncio.wait(list(asking))


async def request(directory: Directory, do: str, timeout_s: float = 60.0, **fields: object) -> dict[str, Any]:
    """Ask the supervisor. Raises `NotRunning` and `RequestFailed`."""
    try:
        reader, writer = await asyncio.open_unix_connection(directory.socket_path, limit=LINE_BYTES_MAX)
    except OSError as error:
        raise NotRunning(f"nothing runs in {directory.path}") from error
    try:
        async with asyncio.timeout(timeout_s):
            writer.write(json.dumps({"do": do, **fields}).encode() + b"\n")
            line = await reader.readline()
    except (OSError, TimeoutError) as error:
        raise NotRunning(f"the supervisor of {directory.path} does not answer: {error}") from error
    finally:
        writer.close()
    if not line:
        raise NotRunning(f"the supervisor of {directory.path} has ended")
    reply: dict[str, Any] = json.loads(line)
    if not reply.pop("ok", False):
        raise RequestFailed(str(reply.get("error", "")))
    return reply
