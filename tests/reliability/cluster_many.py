"""Three hundred machines in virtual time: they meet, ten primaries crash at once, all agree again.

`python -m tests.reliability.cluster_many [--primaries 100] [--replicas 2] [--crashes 10]`. These are the
decisions of `holdfast.cluster` alone, over a network that carries messages as they are, not as bytes:
whole nodes would take hours. What `tests.cluster.pure` checks all along is checked here too. It prints
virtual time and the time of the processor.
"""

from __future__ import annotations

import argparse
import time

from holdfast.cluster import messages, orders, slots
from holdfast.cluster.model import Link
from tests.cluster.pure import PureCluster, PureNode

STEP_MS = 500
PATIENCE_MS = 120_000


class LeanNode(PureNode):
    """A machine whose messages need no bytes; what nothing hangs on is written now and then."""

    has_unwritten = False

    def persist(self, synced: bool) -> None:
        """Write the file if something hangs on it."""
        if synced:
            super().persist(synced)
        elif not self.has_unwritten:
            self.has_unwritten = True
            self.cluster.later(2000, self, self._write)

    def _write(self) -> None:
        self.has_unwritten = False
        super().persist(False)

    def _send(self, link: Link, message: messages.Message) -> None:
        peer, far = self.peers.get(link, (None, None))
        if peer is not None and far is not None:
            self.cluster.sent(self, peer, message)
            self.cluster.carry(self, peer, far, lambda: peer.hear(far, message))

    def hear(self, link: Link, message: messages.Message) -> None:
        """Take a message."""
        if link in self.peers:
            self._hand_in()
            self.machine.received(link, message, self.cluster.now_ms)
            self.do()


class LeanCluster(PureCluster):
    """Many of them."""

    make = LeanNode

    def await_true(self, question: str, what: str, began: float) -> None:
        """Let time pass until a question about all nodes is answered with yes; tell when."""
        start_ms = self.now_ms
        while not getattr(self, question)():
            assert self.now_ms - start_ms < PATIENCE_MS, f"not within {PATIENCE_MS} ms: {what}"
            self.run(STEP_MS)
        took_ms = self.now_ms - start_ms
        spent = time.process_time() - began
        print(f"{what}: within {took_ms} ms of virtual time; {spent:.0f} s of CPU so far", flush=True)

    def survivors_agree(self) -> bool:
        """Whether all that run serve, and see the same owners."""
        running = [each for each in self.nodes if each.runs]
        owners = {
            tuple(sorted((each.id, each.slots) for each in node.view.nodes.values() if each.slots))
            for node in running
        }
        leads = {node.view.me.id for node in running}
        return (
            len(owners) == 1
            and all(node.view.is_ok and not node.view.unowned for node in running)
            and {owner for owner, _ in next(iter(owners))} <= leads
        )


def main() -> None:
    """Form the cluster, crash, and wait for agreement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--primaries", type=int, default=100)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--crashes", type=int, default=10)
    parser.add_argument("--timeout", type=int, default=15_000, help="cluster-node-timeout, in milliseconds")
    given = parser.parse_args()
    began = time.process_time()
    cluster = LeanCluster(1, given.primaries, given.replicas, given.timeout)
    share = -(-slots.SLOTS // given.primaries)
    for number, node in enumerate(cluster.nodes):
        node.order(orders.set_config_epoch, number + 1)
        if number < given.primaries:
            last = min((number + 1) * share, slots.SLOTS) - 1
            node.order(orders.add_slots, slots.of_range(number * share, last))
    for node in cluster.nodes[1:]:
        address = ("127.0.0.1", node.port, node.port + 10_000)
        cluster.nodes[0].order(orders.meet, *address, cluster.now_ms)
    cluster.await_true("all_met", f"{len(cluster.nodes)} nodes know each other", began)
    for number, node in enumerate(cluster.nodes[given.primaries :]):
        node.order(orders.replicate, cluster.nodes[number % given.primaries].view.me.id, False)
    cluster.await_true("is_converged", "all have the same picture", began)
    for node in cluster.nodes[: given.crashes]:
        cluster.crash(node)
    cluster.await_true("survivors_agree", f"{given.crashes} primaries crashed, others lead", began)
    for node in cluster.nodes[: given.crashes]:
        cluster.restart(node)
    cluster.await_true("is_converged", "they came back, and all have the same picture", began)


if __name__ == "__main__":
    main()
