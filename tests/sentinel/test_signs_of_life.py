"""What proves to a Sentinel that a node serves, and how soon it misses one that does not."""

from __future__ import annotations

import pytest

from holdfast.node.sentinel import SentinelNode
from holdfast.sentinel import asking, down, granting
from holdfast.sentinel.effects import Send
from holdfast.sentinel.model import Instance
from holdfast.sentinel.reply_reader import Reply, ReplyError, ReplyStatus
from holdfast.sim import World
from tests.sentinel.scene import Scene
from tests.sentinel.simulated import SimulatedGroup

BEAT_MS = 50
HELD, LEAVING = 1, 2


def says(scene: Scene, state: int) -> Reply:
    """Return a grant's answer."""
    return [scene.now_ms * 1000, "r" * 40, 0, state, 0, 0]


def granted(scene: Scene, reply: Reply | None) -> None:
    """Send the primary a grant, which it answers, or not."""
    granting.grant(scene.sentinel, scene.primary, scene.now_ms)
    for each in scene.sentinel.take_effects():
        if isinstance(each, Send) and reply is not None and each.on_reply is not None:
            each.on_reply(reply, scene.now_ms)


def pings(scene: Scene, reply: Reply | None = None, for_ms: int = 3000) -> int:
    """Let time pass in beats with a grant in each; return how many PINGs the primary got, all unanswered."""
    count = 0
    for _ in range(for_ms // BEAT_MS):
        count += ("PING",) in scene.sent(scene.look(BEAT_MS), scene.primary)
        granted(scene, says(scene, HELD) if reply is None else reply)
    return count


def test_who_answers_grants_is_not_asked_by_ping_and_is_not_down():
    scene = Scene(down_after_ms=1000)
    granted(scene, says(scene, HELD))
    assert pings(scene) == 0
    assert not scene.primary.is_sdown


@pytest.mark.parametrize("state", [HELD, LEAVING, 0])
def test_what_is_said_of_the_lease_changes_nothing_in_that(state):
    scene = Scene(down_after_ms=1000)
    granted(scene, says(scene, state))
    assert scene.primary.is_leaving is (state == LEAVING)
    assert scene.primary.lease_lost is (state == 0)
    assert scene.primary.link.grants_stand


@pytest.mark.parametrize(
    "reply", [["0", "r" * 40, 0, HELD | asking.UNWELL, 0, 0], ReplyError("BUSY a script runs"), ["odd"]]
)
def test_who_says_with_them_that_all_is_not_well_is_asked_by_ping(reply):
    scene = Scene(down_after_ms=1000)
    granted(scene, says(scene, HELD))
    assert pings(scene, reply, 1000) >= 3
    assert "+sdown" in scene.told(scene.look(200))


def test_a_node_that_says_with_grants_that_it_fails_writes_is_down_by_its_pings():
    scene = Scene(down_after_ms=1000)
    granted(scene, says(scene, HELD))
    unwell = says(scene, HELD | asking.UNWELL)
    began_ms = scene.now_ms
    while not scene.primary.is_sdown:
        for each in scene.look(BEAT_MS):
            if isinstance(each, Send) and each.words == ("PING",) and each.on_reply is not None:
                each.on_reply(ReplyError("MISCONF the disk is full"), scene.now_ms)
        granted(scene, unwell)
    assert scene.now_ms - began_ms <= 1000 + 200 + 2 * BEAT_MS


def test_a_node_that_says_with_a_grant_that_it_is_not_well_is_asked_at_once_what_fails() -> None:
    scene = Scene(down_after_ms=30_000)
    scene.primary.node_id = "node0"
    granted(scene, says(scene, HELD))
    granting.grant(scene.sentinel, scene.primary, scene.now_ms)
    for each in scene.sentinel.take_effects():
        if isinstance(each, Send) and each.on_reply is not None:
            each.on_reply(says(scene, HELD | asking.UNWELL), scene.now_ms)
    assert ("INFO",) in scene.sent(scene.sentinel.take_effects(), scene.primary)


def test_an_unanswered_grant_begins_the_silence():
    scene = Scene(down_after_ms=1000)
    granted(scene, says(scene, HELD))
    scene.now_ms += BEAT_MS
    granting.grant(scene.sentinel, scene.primary, scene.now_ms)
    assert "+sdown" not in scene.told(scene.look(1000))
    assert "+sdown" in scene.told(scene.look(1))


def test_who_has_not_answered_a_grant_yet_is_measured_by_its_pings():
    scene = Scene(down_after_ms=1000)
    granting.grant(scene.sentinel, scene.primary, scene.now_ms)
    assert scene.primary.link.ping_pending_since_ms is None
    assert ("PING",) in scene.sent(scene.look(201), scene.primary)


def test_a_node_that_answers_grants_again_is_up_and_its_news_are_asked_for():
    scene = Scene(down_after_ms=1000)
    scene.primary.link.connected_ms = scene.now_ms
    granted(scene, says(scene, HELD))
    granted(scene, None)
    assert "+sdown" in scene.told(scene.look(1001))
    granted(scene, None)
    granting.grant(scene.sentinel, scene.primary, scene.now_ms)
    effects = scene.sentinel.take_effects()
    for each in effects:
        if isinstance(each, Send) and each.on_reply is not None:
            each.on_reply(says(scene, HELD), scene.now_ms)
    assert ("INFO",) in scene.sent(scene.sentinel.take_effects(), scene.primary)
    assert "-sdown" in scene.told(scene.look())


def test_an_answer_that_was_under_way_does_not_disprove_a_reported_death():
    scene = Scene()
    primary = scene.primary
    primary.run_id = primary.lease_run_id = "r" * 40
    granting.grant(scene.sentinel, primary, scene.now_ms)
    asking.ping(scene.sentinel, primary, scene.now_ms)
    under_way = [each for each in scene.sentinel.take_effects() if isinstance(each, Send)]
    primary.exited_run_id, primary.exited_ms = primary.run_id, scene.now_ms
    scene.now_ms += 1
    for each, reply in zip(under_way, (says(scene, HELD), ReplyStatus("PONG")), strict=True):
        assert each.on_reply is not None
        each.on_reply(reply, scene.now_ms)
    assert down.is_known_dead(primary)
    granted(scene, says(scene, HELD))
    assert not down.is_known_dead(primary)


def test_a_sentinel_that_takes_our_hello_is_not_asked_by_ping_for_a_while():
    scene = Scene(down_after_ms=1000)
    scene.sentinel.options.announce_ip = "10.0.3.1"
    other = scene.others[0]
    scene.now_ms += 400
    asking.publish_everywhere(scene.sentinel, scene.primary, scene.now_ms)
    for each in scene.sentinel.take_effects():
        if isinstance(each, Send) and each.link is other.link and each.on_reply is not None:
            each.on_reply(1, scene.now_ms)
    effects = scene.look(200)
    assert ("PING",) not in scene.sent(effects, other)
    assert ("PING",) in scene.sent(effects, scene.others[1])


def test_a_doubt_about_the_primary_has_the_others_asked_at_once():
    scene = Scene(down_after_ms=1000)
    everyone = (*scene.replicas, *scene.others)
    scene.primary.link.ping_pending_since_ms = scene.now_ms + 140
    effects = scene.look(240)
    assert not any(("PING",) in scene.sent(effects, each) for each in everyone)
    effects = scene.look(1)
    assert all(("PING",) in scene.sent(effects, each) for each in everyone)


def seen_down(made: SimulatedGroup, node: SentinelNode, name: str) -> bool:
    """Tell whether a Sentinel holds a node for down."""
    primary = node.sentinel.primaries["mymaster"]
    everyone: tuple[Instance, ...] = (primary, *primary.replicas.values())
    ip = made.world.hosts[name].interface.addresses[0]
    return any(each.is_sdown for each in everyone if each.address.ip == ip)


@pytest.mark.parametrize("fault", ["pause", "cut", "one way to it", "one way from it"])
@pytest.mark.parametrize(("victim", "late_s"), [("n0", 0.2), ("n1", 0.65)])
def test_who_falls_silent_is_down_after_the_set_time(fault: str, victim: str, late_s: float) -> None:
    with World(31) as world:
        made = SimulatedGroup(world, down_after_ms=1000)
        world.run_until(lambda: made.knows_all() and made.lease_held(), 30)
        world.run(5.013)
        at, watcher = world.now, made.sentinels["s1"]
        if fault == "pause":
            world.pause(victim)
        elif fault == "cut":
            world.cut("s1", victim)
        elif fault == "one way to it":
            world.cut("s1", victim, one_way=True)
        else:
            world.cut(victim, "s1", one_way=True)
        world.run_until(lambda: seen_down(made, watcher, victim), 5)
        assert 0.9 < world.now - at < 1 + late_s
