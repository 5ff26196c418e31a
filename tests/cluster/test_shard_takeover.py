"""An elected replica that fences its shard, where another node falls silent at the worst moment."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from holdfast.node.server import ServerNode
from holdfast.node.shard_takeover import Member, ShardTakeover
from holdfast.replication.fence import FenceReport
from holdfast.replication.orders import report_fields
from holdfast.replication.set_record import MemberSet, Position, SetRecord
from holdfast.sim import World
from tests.wire import encode

PORT = 6379
RECORD = SetRecord(1, "old", (MemberSet(frozenset({"old", "mine"}), 0),))


def _report(name: str, intact: bool) -> FenceReport:
    return FenceReport(name, 9, "ME", Position(1, 10), RECORD, intact, True, None)


def test_a_primary_that_was_told_to_lead_and_is_silent_is_given_up_and_nobody_leads_in_that_epoch() -> None:
    orders: list[bytes] = []

    async def primary(host: Any) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            orders.append(asked := await reader.read(1000))
            if b"FENCE" in asked:
                writer.write(encode([word.encode() for word in report_fields(_report("old", True))]))
            await reader.read()

        await (await asyncio.start_server(serve, port=PORT)).serve_forever()

    def no_order(order: object) -> None:
        raise AssertionError(f"in one epoch two may lead: {order}")

    with World(1) as world:
        host = world.host("b")
        world.start("b", primary)
        world.run(0.1)
        in_cluster = SimpleNamespace(fence=lambda _: _report("mine", False), promote=no_order, fetch=no_order)
        node = SimpleNamespace(
            loop=world.loop,
            engine=SimpleNamespace(tick_open=True),
            configuration={"masteruser": "", "masterauth": ""},
            log=SimpleNamespace(warning=lambda _: None, notice=lambda _: None),
            replication=SimpleNamespace(in_cluster=in_cluster),
        )
        attempt = ShardTakeover(
            cast(ServerNode, node), 9, "ME", [Member("B", host.address, PORT)], primary_id="B"
        )
        assert world.run(asyncio.wait_for(attempt.run(), 10)) is False
        assert [each for each in orders if b"PROMOTE" in each]
