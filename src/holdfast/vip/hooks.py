"""The operator's commands around a take-over, as processes.

A hook gets what happened in its environment: HOLDFAST_EVENT (before-acquire, after-acquire,
after-release), HOLDFAST_NAME, HOLDFAST_ADDRESSES (with prefix, separated by blanks) and
HOLDFAST_INTERFACE. One that runs longer than `hook-timeout-ms` is killed.
"""

from __future__ import annotations

import asyncio
import os

from holdfast.vip.settings import AddressSettings


class Processes:
    """`interface.Hooks` of this machine."""

    async def run(self, words: tuple[str, ...], settings: AddressSettings, event: str) -> str:
        """Run a command to its end; return "" for success, else what went wrong."""
        environment = os.environ | {
            "HOLDFAST_EVENT": event,
            "HOLDFAST_NAME": settings.name,
            "HOLDFAST_ADDRESSES": " ".join(str(each) for each in settings.addresses),
            "HOLDFAST_INTERFACE": settings.interface,
        }
        try:
            process = await asyncio.create_subprocess_exec(*words, env=environment)
        except OSError as error:
            return f"{words[0]}: {error.strerror}"
        try:
            status = await asyncio.wait_for(process.wait(), settings.hook_timeout_ms / 1000)
        except TimeoutError:
            process.kill()
            await process.wait()
            return f"{words[0]} was killed after {settings.hook_timeout_ms} ms"
        return f"{words[0]} ended with {status}" if status else ""
