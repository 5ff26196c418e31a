"""The talk with voters and with the local server, through redis-py.

What it is: one question at a time to each, with the time when it left, and its answer put
into plain values. What it is not: what an answer means (`decision`).

How to read it: `Voter.ask` and `Voter.give_back`, then `LocalServer.check`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from redis import asyncio as redis
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from holdfast.vip.settings import AddressSettings, Endpoint

TALK_FAILS = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)
UNKNOWN = ("unknown subcommand", "unknown command")


@dataclass(frozen=True, slots=True)
class Heard:
    """A voter's answer."""

    sent_ms: int
    """When the question left."""
    primary: str
    """host:port of the primary as it knows it; empty: it knows none."""
    is_ours: bool
    """Whether that is the local server."""
    grant: tuple[bool, str] | None
    """Its vote and who has it; None: not asked for, or a stock Sentinel, which has none."""
    is_stock: bool = False


class Voter:
    """One Sentinel."""

    def __init__(
        self,
        endpoint: Endpoint,
        settings: AddressSettings,
        agent: str,
        now_ms: Callable[[], int],
        *,
        lease_ms: int,
        late_ms: int,
    ) -> None:
        self.name = f"{endpoint[0]}:{endpoint[1]}"
        self._settings, self._agent, self._now_ms = settings, agent, now_ms
        self._is_stock = False
        self._lease_ms, self._late_ms = lease_ms, late_ms
        timeout_s = lease_ms / 3000
        self._client = redis.Redis(
            host=endpoint[0],
            port=endpoint[1],
            username=settings.sentinel_user or None,
            password=settings.sentinel_password or None,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            single_connection_client=True,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )

    async def ask(self, wants_vote: bool, is_holder: bool) -> Heard | str:
        """Ask who the primary is, and for the vote; return the answer, or why there is none."""
        settings = self._settings
        sent_ms = self._now_ms()
        try:
            primary, is_ours = "", False
            if settings.follow == "primary":
                found = await self._run("SENTINEL", "GET-MASTER-ADDR-BY-NAME", settings.primary_name)
                if found is None:
                    return f"does not know {settings.primary_name}"
                primary = f"{found[0]}:{found[1]}"
                is_ours = (str(found[0]), int(found[1])) == settings.server
            if not wants_vote or self._is_stock:
                return Heard(sent_ms, primary, is_ours, None, self._is_stock)
            words = ("GRANT", settings.name, self._agent, self._lease_ms)
            manner = "RENEW" if is_holder else "CLAIM"
            granted, holder, _ = await self._run("SENTINEL", "ADDRESS", *words, manner, self._late_ms)
            word = f"its vote is with {holder}" if holder else "started a moment ago and must wait"
            return Heard(sent_ms, primary, is_ours, (bool(granted), word))
        except exceptions.ResponseError as error:
            if not any(each in str(error).lower() for each in UNKNOWN):
                return str(error)
            if settings.follow != "primary":
                return "a stock Sentinel has no vote to give; a pair of proxies needs Sentinels of Holdfast"
            self._is_stock = True
            return Heard(sent_ms, primary, is_ours, None, True)
        except TALK_FAILS as error:
            self._is_stock = False
            await self.close()
            return f"does not answer: {error}"

    async def give_back(self) -> None:
        """Give the vote back; without an answer it runs out by itself."""
        if self._is_stock:
            return
        try:
            await self._run("SENTINEL", "ADDRESS", "RELEASE", self._settings.name, self._agent)
        except (exceptions.RedisError, OSError):
            await self.close()

    async def close(self) -> None:
        """Disconnect; the next question connects anew."""
        await self._client.aclose()

    async def _run(self, *words: object) -> Any:
        return await cast(Any, self._client).execute_command(*words)


class LocalServer:
    """The data node or proxy of this host."""

    def __init__(self, settings: AddressSettings) -> None:
        host, port = settings.server
        timeout_s = settings.server_down_after_ms / 1000
        self._client = redis.Redis(
            host=host,
            port=port,
            username=settings.server_user or None,
            password=settings.server_password or None,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            single_connection_client=True,
            retry=Retry(NoBackoff(), 0),
        )

    async def leads(self) -> bool:
        """Ask a data node for its role; tell whether it says that it is a primary."""
        try:
            role = await cast(Any, self._client).execute_command("ROLE")
        except exceptions.ResponseError:
            return False
        except TALK_FAILS:
            await self.close()
            return False
        return bool(role and role[0] in (b"master", "master"))

    async def check(self) -> tuple[bool, str]:
        """PING it; return whether it serves, and what it said."""
        try:
            await cast(Any, self._client).execute_command("PING")
        except exceptions.BusyLoadingError:
            return False, "it loads its data"
        except exceptions.TimeoutError:
            await self.close()
            return False, "no answer to PING"
        except (exceptions.ConnectionError, OSError) as error:
            await self.close()
            return False, str(error)
        except exceptions.ResponseError as error:
            return True, str(error)
        return True, "it answers"

    async def close(self) -> None:
        """Disconnect."""
        await self._client.aclose()
