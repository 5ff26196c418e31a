"""The leader's side of a takeover, decision by decision: reports in, orders out, no socket."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.node.sentinel_orders import SentinelOrders
from holdfast.replication.fence import FenceReport
from holdfast.replication.orders import report_fields
from holdfast.replication.set_record import NOWHERE, Position
from holdfast.sentinel import asking, fetching, takeover
from holdfast.sentinel.effects import Effect, Send
from holdfast.sentinel.model import Failover, Instance, LinkState
from tests.sentinel.scene import ME, Scene

EPOCH = 4


class Attempt:
    """One attempt of ours in epoch 4, around a primary and two replicas of ours."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.scene.sentinel.orders = SentinelOrders()
        primary = self.primary = self.scene.primary
        primary.failover, primary.failover_epoch = Failover.SELECT_REPLICA, EPOCH
        self.nodes = [primary, *self.scene.replicas]
        for number, each in enumerate(self.nodes):
            each.node_id = f"node{number}"
        self.asked: dict[Instance, Send] = {}
        self.how_far: Send | None = None

    def step(self, after_ms: int = 0) -> list[Effect]:
        """Go on; remember who is fenced; return the effects."""
        self.scene.now_ms += after_ms
        takeover.step(self.scene.sentinel, self.primary, self.scene.now_ms)
        effects = self.scene.sentinel.take_effects()
        for each in effects:
            if isinstance(each, Send) and each.words[:2] == ("HOLDFAST", "FENCE"):
                node = next(node for node in self.nodes if node.link is each.link)
                self.asked[node] = each
            elif isinstance(each, Send) and each.words == ("INFO", "replication"):
                self.how_far = each
        return effects

    def reports(self, node: Instance, offset: int, is_known: bool = True, is_intact: bool = True) -> None:
        """Answer the fence that was last sent to a node."""
        report = FenceReport(node.node_id, EPOCH, ME, Position(0, offset), None, is_intact, True, None)
        if not is_known:
            report = replace(report, position=NOWHERE, intact=False, is_known=False)
        sent = self.asked.pop(node)
        assert sent.on_reply is not None
        sent.on_reply(list(report_fields(report)), self.scene.now_ms)

    def says(self, offset: int, **fields: int) -> None:
        """Answer the INFO that whoever fetches was last sent."""
        assert self.how_far is not None and self.how_far.on_reply is not None
        told, self.how_far = self.how_far.on_reply, None
        lines = {"slave_repl_offset": offset, "fetching": 1} | fields
        told("".join(f"{name}:{value}\r\n" for name, value in lines.items()), self.scene.now_ms)

    def hands_over(self, offset: int) -> None:
        """Let the primary be told to hand over, and say where its stream ends; the others are fenced."""
        self.primary.must_change = True
        self.step()
        assert list(self.asked) == [self.primary], "its replicas take what it has sent"
        self.reports(self.primary, offset)
        self.step(1)

    def told_to_fetch(self, effects: list[Effect]) -> list[tuple[Instance, tuple[str, ...]]]:
        """Return who was told to fetch, and from where."""
        return [
            (node, each.words[4:6])
            for each in effects
            if isinstance(each, Send) and each.words[:2] == ("HOLDFAST", "FETCH")
            for node in self.nodes
            if node.link is each.link
        ]

    def told_to_lead(self, effects: list[Effect]) -> list[str]:
        """Return who was told to lead."""
        return [
            node.node_id
            for each in effects
            if isinstance(each, Send) and each.words[:2] == ("HOLDFAST", "PROMOTE")
            for node in self.nodes
            if node.link is each.link
        ]


def test_a_node_that_is_still_loading_is_asked_again_until_it_knows_its_copy() -> None:
    attempt = Attempt()
    attempt.step()
    loading = attempt.nodes[1]
    attempt.reports(loading, 0, is_known=False)
    attempt.step(takeover.FENCE_AGAIN_MS - 1)
    assert loading not in attempt.asked
    attempt.step(2)
    assert loading in attempt.asked
    attempt.reports(loading, 50)
    attempt.step(takeover.FENCE_AGAIN_MS + 1)
    assert loading not in attempt.asked


def test_a_primary_that_has_lost_its_data_does_not_lead_however_far_its_stream_has_come() -> None:
    attempt = Attempt()
    attempt.primary.lost_history = True
    attempt.step()
    for node, offset in zip(attempt.nodes, (9000, 500, 400), strict=True):
        attempt.reports(node, offset)
    assert attempt.told_to_lead(attempt.step(1)) == ["node1"]


def test_a_primary_that_has_its_data_leads_when_its_stream_has_come_furthest() -> None:
    attempt = Attempt()
    attempt.step()
    for node, offset in zip(attempt.nodes, (9000, 500, 400), strict=True):
        attempt.reports(node, offset)
    assert attempt.told_to_lead(attempt.step(1)) == ["node0"]


def test_a_primary_that_hands_over_is_fenced_when_what_it_has_executed_is_acknowledged() -> None:
    attempt = Attempt()
    attempt.primary.must_change = True
    attempt.primary.info_text = "ack_waiting:3\r\n"
    pause, asked = (each for each in attempt.step() if isinstance(each, Send))
    assert pause.words[:2] == ("CLIENT", "PAUSE") and pause.words[-1] == "WRITE" and not attempt.asked
    for waiting in (2, 0):
        assert asked.on_reply is not None
        asked.on_reply(f"ack_waiting:{waiting}\r\n", attempt.scene.now_ms)
        sent = [each.words for each in attempt.step(1) if isinstance(each, Send)]
        fenced = ("HOLDFAST", "FENCE", str(EPOCH), ME)
        assert sent == ([fenced, ("CLIENT", "UNPAUSE")] if not waiting else [("INFO", "replication")])
    assert list(attempt.asked) == [attempt.primary]


def test_a_primary_whose_replicas_keep_silent_is_not_waited_for() -> None:
    attempt = Attempt()
    attempt.primary.must_change = True
    attempt.primary.info_text = "ack_waiting:3\r\n"
    _, asked = (each for each in attempt.step() if isinstance(each, Send))
    attempt.scene.now_ms += takeover.SETTLE_ANSWER_MS - 10  # the primary got no processor
    assert asked.on_reply is not None
    asked.on_reply("ack_waiting:3\r\n", attempt.scene.now_ms)
    attempt.step(takeover.SETTLE_WAIT_MS - 1)
    assert not attempt.asked
    attempt.step(1)
    assert list(attempt.asked) == [attempt.primary]


def test_a_primary_that_does_not_say_what_it_waits_for_is_not_waited_for() -> None:
    attempt = Attempt()
    attempt.primary.must_change = True
    attempt.primary.info_text = "ack_waiting:3\r\n"
    attempt.step()
    attempt.step(takeover.SETTLE_ANSWER_MS - 1)
    assert not attempt.asked
    attempt.step(1)
    assert list(attempt.asked) == [attempt.primary]


def test_nothing_that_a_pause_of_writes_holds_up_is_sent_before_the_fence() -> None:
    attempt = Attempt()
    primary, now_ms = attempt.primary, attempt.scene.now_ms
    primary.info_ms = primary.link.connected_ms = primary.info_sent_ms = now_ms
    later_ms = now_ms + 10 * attempt.scene.sentinel.times.publish_period
    assert not asking.holds_writes(primary)
    primary.must_change = True
    primary.info_text = "ack_waiting:3\r\n"
    attempt.step()
    asking.periodic(attempt.scene.sentinel, primary, later_ms)
    sent = [each.words[0] for each in attempt.scene.sentinel.take_effects() if isinstance(each, Send)]
    assert "PUBLISH" not in sent and "INFO" in sent


def test_a_primary_that_hands_over_waits_for_the_replica_that_priority_prefers() -> None:
    attempt = Attempt()
    preferred = attempt.nodes[2]
    preferred.priority = 1
    attempt.hands_over(500)
    attempt.reports(attempt.nodes[1], 500)
    assert attempt.told_to_lead(attempt.step(1)) == []
    attempt.reports(preferred, 500)
    assert attempt.told_to_lead(attempt.step(1)) == ["node2"]


def test_the_replica_that_priority_prefers_fetches_what_it_lacks_of_a_primary_that_hands_over() -> None:
    attempt = Attempt()
    attempt.nodes[2].priority = 1
    attempt.hands_over(500)
    for node, offset in zip(attempt.nodes[1:], (500, 400), strict=True):
        attempt.reports(node, offset)
    effects = attempt.step(1)
    assert attempt.told_to_lead(effects) == []
    assert [each.words[1] for each in effects if isinstance(each, Send) and each.words[0] == "HOLDFAST"] == [
        "FETCH"
    ]


def behind_its_sibling() -> Attempt:
    """Return an attempt in which node 2 has been told to fetch what node 1 has, whose priority is 0."""
    attempt = Attempt()
    attempt.primary.link.command = LinkState.DOWN
    attempt.nodes[1].priority = 0
    attempt.step()
    for node, offset in zip(attempt.nodes[1:], (500, 400), strict=True):
        attempt.reports(node, offset)
    assert attempt.told_to_fetch(attempt.step(1)) == [(attempt.nodes[2], ("10.0.1.0", "6379"))]
    return attempt


def test_whoever_comes_no_further_is_told_to_fetch_again_as_often_as_it_takes() -> None:
    attempt = behind_its_sibling()
    node = attempt.nodes[2]
    for _ in range(3):
        assert not attempt.told_to_fetch(attempt.step(fetching.PATIENCE_MS)) and not attempt.asked
        attempt.step(1)
        attempt.reports(node, 400)
        assert attempt.told_to_fetch(attempt.step(1)) == [(node, ("10.0.1.0", "6379"))]
    attempt.says(500, fetching=0)
    attempt.step(1)
    attempt.reports(node, 500)
    assert attempt.told_to_lead(attempt.step(1)) == ["node2"]


@pytest.mark.parametrize("is_copying", [False, True])
def test_whoever_comes_further_is_not_disturbed(is_copying: bool) -> None:
    attempt = behind_its_sibling()
    for seconds in range(30):
        attempt.says(400 if is_copying else 400 + seconds, master_sync_in_progress=int(is_copying))
        attempt.step(fetching.PATIENCE_MS)
        assert not attempt.asked, "a fence would end it"


def test_nobody_waits_for_a_source_that_is_gone_where_others_suffice() -> None:
    attempt = behind_its_sibling()
    source, node = attempt.nodes[1:]
    source.link.command = LinkState.DOWN
    attempt.step(fetching.PATIENCE_MS + 1)
    attempt.reports(node, 400)
    assert attempt.told_to_lead(attempt.step(1)) == ["node2"]


def test_a_primary_that_knows_that_it_lost_its_data_fetches_all_where_nobody_else_may_lead() -> None:
    attempt = Attempt()
    attempt.primary.lost_history = True
    for each in attempt.scene.replicas:
        each.priority = 0
    attempt.step()
    for node, offset in zip(attempt.nodes, (0, 500, 400), strict=True):
        attempt.reports(node, offset, is_intact=node is not attempt.primary)
    assert attempt.told_to_fetch(attempt.step(1)) == [(attempt.primary, ("10.0.1.0", "6379"))]
    attempt.says(500, intact=0)
    attempt.step(1)
    assert not attempt.asked, "it has not yet all"
    attempt.says(500, fetching=0)
    attempt.step(1)
    attempt.reports(attempt.primary, 500)
    assert attempt.told_to_lead(attempt.step(1)) == ["node0"]


def test_a_primary_that_takes_another_history_for_its_own_neither_fetches_nor_leads() -> None:
    attempt = Attempt()
    attempt.primary.lost_history = True
    for each in attempt.scene.replicas:
        each.priority = 0
    attempt.step()
    for node, offset in zip(attempt.nodes, (9000, 500, 400), strict=True):
        attempt.reports(node, offset)
    effects = attempt.step(takeover.REPORTS_WAIT_MS)
    assert not attempt.told_to_fetch(effects) and not attempt.told_to_lead(effects)


def test_no_other_attempt_ends_a_copy_that_a_leader_has_ordered() -> None:
    scene = left_behind(3)
    scene.primary.leader, scene.primary.leader_epoch = "b" * 40, 3
    scene.sentinel.epoch, scene.primary.failover_start_ms = 3, scene.now_ms
    scene.replicas[0].is_copying = True
    assert "+try-failover" not in look_on(scene, 60_000, told_after_ms=0)
    scene.replicas[0].is_copying = False
    assert "+try-failover" in look_on(scene, 4000, told_after_ms=0)


def test_a_primary_that_hands_over_and_keeps_silent_is_not_waited_for() -> None:
    attempt = Attempt()
    attempt.primary.must_change = True
    attempt.step()
    attempt.step(takeover.REPORTS_WAIT_MS)
    assert set(attempt.asked) == set(attempt.nodes)


def test_another_replica_leads_when_the_preferred_one_keeps_silent() -> None:
    attempt = Attempt()
    attempt.nodes[2].priority = 1
    attempt.hands_over(500)
    attempt.reports(attempt.nodes[1], 500)
    assert attempt.told_to_lead(attempt.step(takeover.WANTED_WAIT_MS)) == []
    assert attempt.told_to_lead(attempt.step(1)) == ["node1"]


def test_a_lone_primary_that_has_lost_its_data_leads_again_for_nobody_has_more() -> None:
    attempt = Attempt()
    attempt.primary.lost_history = True
    for each in attempt.scene.replicas:
        each.node_id = ""  # stock nodes take no orders
    attempt.step()
    attempt.reports(attempt.primary, 10)
    assert attempt.told_to_lead(attempt.step(1)) == ["node0"]


def left_behind(fence_epoch: int) -> Scene:
    """Return a group that is well, but for a replica that a leader has fenced, and not its primary."""
    scene = Scene()
    scene.sentinel.orders = SentinelOrders()
    scene.primary.node_id = "node0"
    replica = scene.replicas[0]
    replica.node_id, replica.standing, replica.fence_epoch = "node1", "fenced", fence_epoch
    return scene


def look_on(scene: Scene, for_ms: int, told_after_ms: int | None = None) -> list[str]:
    """Look at beats; everybody answers PING, and INFO so long after the beginning. Return the events."""
    events: list[str] = []
    for passed_ms in range(0, for_ms, 50):
        scene.now_ms += 50
        for each in (scene.primary, *scene.replicas, *scene.others):
            told_ms, asked_ms = each.info_ms, each.info_sent_ms
            scene.answers(each)
            if told_after_ms is None or passed_ms < told_after_ms:
                each.info_ms, each.info_sent_ms = told_ms, asked_ms
        events += scene.told(scene.look())
    return events


def test_a_replica_that_a_leader_fenced_in_vain_calls_for_another_in_a_higher_epoch() -> None:
    scene = left_behind(3)
    assert "+try-failover" not in look_on(scene, 1000, told_after_ms=0), "the leader may be at it"
    assert "+try-failover" in look_on(scene, 3000, told_after_ms=0)
    assert scene.primary.failover_epoch > 3, "it would refuse all others"


def test_a_leader_that_came_to_nothing_itself_goes_on_soon() -> None:
    scene = left_behind(3)
    scene.sentinel.epoch = scene.primary.leader_epoch = 3
    scene.primary.leader = ME
    assert "+try-failover" in look_on(scene, 500, told_after_ms=0)


def test_old_news_of_a_fence_calls_for_nobody() -> None:
    scene = left_behind(3)
    assert "+try-failover" not in look_on(scene, 4000), "neither has told anything since"
    scene.primary.fence_epoch = 3
    assert "+try-failover" not in look_on(scene, 4000, told_after_ms=0), "it may follow this primary"


def test_a_fenced_replica_that_no_order_helps_disturbs_nobody() -> None:
    scene = left_behind(3)
    scene.replicas[0].fails_writes_since_ms = scene.now_ms
    assert "+try-failover" not in look_on(scene, 4000, told_after_ms=0)


def test_a_leader_waits_until_the_lease_is_over_that_its_choice_has_granted() -> None:
    attempt = Attempt()
    attempt.step()
    for node in attempt.nodes[1:]:
        report = FenceReport(node.node_id, EPOCH, ME, Position(0, 10), None, True, True, None)
        report = replace(report, granted_for_ms=320)
        sent = attempt.asked.pop(node)
        assert sent.on_reply is not None
        sent.on_reply(list(report_fields(report)), attempt.scene.now_ms)
    attempt.primary.link.command = LinkState.DOWN
    assert not attempt.told_to_lead(attempt.step(320)), "it would refuse the last millisecond"
    assert attempt.told_to_lead(attempt.step(1))
