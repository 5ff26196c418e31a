"""Effects that wait for nodes.conf: what happens to them where the disk does not answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from holdfast.cluster.effects import Log, Persist
from holdfast.node.cluster_queue import WAITING_MOST, Batch, EffectQueue
from holdfast.node.server import ServerNode
from holdfast.sim import World
from tests.cluster.views import a_view


def test_where_the_disk_hangs_what_waits_is_let_go_unsent_and_goes_on_when_the_disk_does() -> None:
    with World(1) as world:
        view, performed = a_view(), list[tuple[Batch, bool]]()
        node = SimpleNamespace(
            host=world.host("a"),
            configuration=SimpleNamespace(path=lambda _: "nodes.conf"),
            loop=world.loop,
            log=SimpleNamespace(warning=lambda _: None),
        )

        def perform(batch: Batch, may_send: bool) -> None:
            performed.append((batch, may_send))
            if not may_send:
                view.save(synced=True)

        queue = EffectQueue(cast(ServerNode, node), view, perform, lambda: None, lambda: None)
        queue.is_open = True
        world.slow_disk("a", 1e6)
        view.save(synced=True)
        queue.run()
        for number in range(WAITING_MOST):
            assert not performed
            view.log(str(number))
            queue.run()
        assert len(performed) == WAITING_MOST + 1
        assert not any(may_send for _, may_send in performed)
        performed.clear()
        view.log("behind it")
        queue.run()
        world.run(1.0)
        assert not performed
        world.slow_disk("a", 0.0)
        view.save(synced=True)
        queue.run(at_once=True)
        assert [may_send for _, may_send in performed] == [True] * 3
        assert performed[0][0] == [Persist()]
        assert Log("notice", "behind it") in performed[1][0]
