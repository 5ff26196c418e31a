"""When a Sentinel holds an instance for dead: silence, refusals, what others say; and its own pauses."""

from __future__ import annotations

import pytest

from holdfast.sentinel import asking, down, failover, observation
from holdfast.sentinel.reply_reader import ReplyStatus
from tests.sentinel.scene import Scene, refuse


def test_a_silent_primary_is_down_after_the_set_time_and_not_before():
    scene = Scene(down_after_ms=1000)
    scene.primary.link.ping_pending_since_ms = scene.now_ms
    for each in (*scene.replicas, *scene.others):
        each.link.ping_pending_since_ms = None
    assert "+sdown" not in scene.told(scene.look(1000))
    assert "+sdown" in scene.told(scene.look(1))


def test_one_opinion_is_not_the_quorum():
    scene = Scene()
    scene.primary.link.ping_pending_since_ms = scene.now_ms
    assert "+odown" not in scene.told(scene.look(1001))
    scene.others[0].says_down = True
    scene.others[0].down_reply_ms = scene.now_ms
    assert "+odown" in scene.told(scene.look(1))


def test_refused_is_down_at_once_when_the_replicas_hear_the_primary_no_more():
    scene = Scene(down_after_ms=30_000)
    refuse(scene)
    scene.now_ms += 5
    for each in scene.replicas:
        scene.answers(each)
        each.is_link_ok = False
    assert "+sdown" in scene.told(scene.look())


def test_refused_is_not_down_while_a_replica_still_hears_the_primary():
    scene = Scene(down_after_ms=30_000)
    refuse(scene)
    scene.now_ms += 5
    for each in scene.replicas:
        scene.answers(each)
    scene.replicas[0].is_link_ok = False
    assert "+sdown" not in scene.told(scene.look())


def test_refused_alone_proves_nothing_without_a_replica_to_ask():
    scene = Scene(replicas=0, down_after_ms=30_000)
    refuse(scene)
    assert "+sdown" not in scene.told(scene.look(500))


def test_old_news_of_a_replica_does_not_confirm_a_suspicion():
    scene = Scene(down_after_ms=30_000)
    for each in scene.replicas:
        each.is_link_ok = False
    scene.now_ms += 5
    refuse(scene)
    assert down.suspicion(scene.primary) is down.Suspicion.UNSURE


@pytest.mark.parametrize(
    ("run_id", "answers_after_ms", "is_down"), [("1", 0, True), ("2", 0, False), ("1", 10, False)]
)
def test_whom_its_parent_reports_dead_is_down_at_once(run_id, answers_after_ms, is_down):
    scene = Scene(down_after_ms=30_000)
    scene.primary.run_id = "1" * 40
    scene.primary.exited_run_id, scene.primary.exited_ms = run_id * 40, scene.now_ms
    scene.now_ms += answers_after_ms
    scene.primary.link.proved_ms = scene.now_ms
    assert ("+sdown" in scene.told(scene.look())) is is_down


def test_fast_down_can_be_turned_off():
    scene = Scene(down_after_ms=30_000)
    scene.primary.options.fast_down = False
    refuse(scene)
    for each in scene.replicas:
        each.is_link_ok = False
    assert "+sdown" not in scene.told(scene.look(10))


def test_a_primary_that_came_back_empty_is_down():
    scene = Scene()
    full = f"run_id:{'1' * 40}\r\nrole:master\r\n# Keyspace\r\ndb0:keys=3,expires=0\r\n"
    observation.info_came(scene.sentinel, scene.primary, full, scene.now_ms)
    empty = f"run_id:{'2' * 40}\r\nrole:master\r\n# Keyspace\r\n"
    observation.info_came(scene.sentinel, scene.primary, empty, scene.now_ms)
    assert "+sdown" in scene.told(scene.look())


def test_a_primary_that_loads_longer_than_a_failover_takes_is_down():
    scene = Scene(down_after_ms=30_000)
    scene.primary.link.loading_since_ms = scene.now_ms
    assert "+sdown" not in scene.told(scene.look(2000))
    assert "+sdown" in scene.told(scene.look(1))


def test_a_primary_that_came_back_is_down_when_it_loads_longer_than_the_set_time_after_its_restart():
    scene = Scene(down_after_ms=30_000)
    scene.primary.options.reboot_down_after_ms = 500
    for number in "12":
        text = f"run_id:{number * 40}\r\nrole:master\r\n"
        observation.info_came(scene.sentinel, scene.primary, text, scene.now_ms)
    assert "+sdown" not in scene.told(scene.look(500))
    assert "+sdown" in scene.told(scene.look(1))
    asking.ping_answered(scene.sentinel, scene.primary, scene.primary.link, ReplyStatus("PONG"), scene.now_ms)
    assert "-sdown" in scene.told(scene.look(1)), "it serves again"


def test_a_primary_whose_disk_refuses_writes_is_down_while_a_replica_could_take_them():
    scene = Scene(down_after_ms=30_000)
    text = f"run_id:{'9' * 40}\r\nrole:master\r\naof_last_write_status:err\r\n"
    observation.info_came(scene.sentinel, scene.primary, text, scene.now_ms)
    for each in scene.replicas:
        each.fails_writes_since_ms = scene.now_ms
    assert "+sdown" not in scene.told(scene.look(2001))
    scene.replicas[0].fails_writes_since_ms = None
    assert "+sdown" in scene.told(scene.look(1))
    healthy = text.replace(":err", ":ok")
    observation.info_came(scene.sentinel, scene.primary, healthy, scene.now_ms)
    assert "-sdown" in scene.told(scene.look(1))


def test_a_primary_that_was_flushed_is_not_down():
    scene = Scene()
    for keyspace in ("db0:keys=3,expires=0\r\n", ""):
        text = f"run_id:{'1' * 40}\r\nrole:master\r\n# Keyspace\r\n{keyspace}"
        observation.info_came(scene.sentinel, scene.primary, text, scene.now_ms)
    assert "+sdown" not in scene.told(scene.look())


def test_after_a_pause_of_the_process_nothing_is_decided():
    scene = Scene()
    scene.primary.link.ping_pending_since_ms = scene.now_ms
    scene.now_ms += 5000
    scene.machine.look(scene.now_ms)
    told = scene.told(scene.sentinel.take_effects())
    assert told == ["+tilt"]
    assert failover.start_if_needed(scene.sentinel, scene.primary, scene.now_ms) is False


def test_a_pause_is_over_when_all_have_answered_since():
    scene = Scene()
    everyone = (scene.primary, *scene.replicas, *scene.others)
    assert "+tilt" in paused(scene)
    scene.now_ms += 50
    for each in everyone[:-1]:
        scene.answers(each)
    assert "-tilt" not in scene.told(scene.look())
    scene.answers(everyone[-1])
    assert "-tilt" in scene.told(scene.look())


def test_after_a_pause_who_is_silent_has_a_whole_down_after_to_answer():
    scene = Scene(down_after_ms=3000)
    scene.primary.link.ping_pending_since_ms = scene.now_ms
    assert "+tilt" in paused(scene)
    assert "+sdown" not in scene.told(scene.look(2900))
    assert scene.told(scene.look(200))[:2] == ["-tilt", "+sdown"]


def test_after_a_pause_a_replica_that_was_dead_before_is_not_waited_for():
    scene = Scene()
    dead = scene.replicas[0]
    dead.sdown_since_ms = dead.link.ping_pending_since_ms = scene.now_ms
    paused(scene)
    scene.now_ms += 50
    for each in (scene.primary, scene.replicas[1], *scene.others):
        scene.answers(each)
    assert "-tilt" in scene.told(scene.look())


def paused(scene: Scene) -> list[str]:
    """Let the process stand still for five seconds; return what it tells when it goes on."""
    scene.now_ms += 5000
    scene.machine.look(scene.now_ms)
    return scene.told(scene.sentinel.take_effects())
