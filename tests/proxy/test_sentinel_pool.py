"""A Sentinel group behind a proxy: a failover is a pause for clients that know one address.

Real processes on all sides, ours and stock.
"""

from __future__ import annotations

import signal

import pytest
import redis

from holdfast.proxy.sentinel_view import GroupView, ends_hand_over, group_of_event
from tests.ports import free_port
from tests.proxy.groups import (
    Writer,
    await_another_primary,
    lists_of_client,
    sentinel_pool,
    settled,
    write_past,
    writers,
)
from tests.proxy.peers import proxy_process
from tests.sentinel.group import group, until

A, B = ("10.0.0.1", 6379), ("10.0.0.2", 6379)


def lists_of(port: int, made: list[Writer]) -> list[list[int]]:
    """Read what the final primary has."""
    return lists_of_client(redis.Redis(port=port), made)


@pytest.mark.parametrize(("nodes", "sentinels"), [("holdfast", "holdfast"), ("redis", "redis")])
def test_a_planned_failover_gives_no_error_and_keeps_every_client_s_order(nodes: str, sentinels: str) -> None:
    port = free_port()
    with settled(nodes, sentinels) as made:
        text = sentinel_pool(port, [each.port for each in made.sentinels])
        with proxy_process(text, port), writers(port) as wrote:
            made.sentinels[0].client.sentinel_failover("mymaster")
            new = await_another_primary(made, made.nodes[0].port)
            write_past(wrote)
        assert [each.errors for each in wrote] == [[], [], []]
        found = lists_of(new, wrote)
        assert found == [sorted(set(each)) for each in found]
        if sentinels == "holdfast":
            assert found == [each.acknowledged for each in wrote]
        else:  # redis-sentinel does not wait for the replica: what the old primary alone had is lost
            assert all(set(there) <= set(each.acknowledged) for there, each in zip(found, wrote, strict=True))


def test_a_primary_that_dies_costs_its_open_requests_and_a_pause() -> None:
    port = free_port()
    with settled("redis", "holdfast") as made:
        text = sentinel_pool(port, [each.port for each in made.sentinels])
        with proxy_process(text, port), writers(port) as wrote:
            made.nodes[0].kill()
            new = await_another_primary(made, made.nodes[0].port)
            write_past(wrote)
        # One batch of each client was open; all later ones were held.
        assert all(len(each.errors) <= 5 for each in wrote)
        found = lists_of(new, wrote)
        assert found == [sorted(set(each)) for each in found]
        # A batch that was never sent is never lost: what came after the fault is there.
        assert all(set(each.acknowledged[-50:]) <= set(kept) for each, kept in zip(wrote, found, strict=True))


def test_what_cannot_be_queued_waits_for_the_new_primary_too() -> None:
    port = free_port()
    with settled("redis", "redis", 2) as made:
        text = sentinel_pool(port, [each.port for each in made.sentinels])
        with proxy_process(text, port), writers(port, 1):
            made.nodes[0].kill()
            asking = redis.Redis(port=port)
            until(lambda: asking.info("proxy")["pool0"]["held"] > 0, "requests are held")
            in_database = redis.Redis(port=port, db=1, socket_timeout=30)
            assert in_database.set("x", "1")
            assert in_database.get("x") == b"1"
            until(lambda: made.primary_of(made.sentinels[0]) == made.nodes[1].port, "the replica leads")
            made.nodes[1].client.ping()
            watching = redis.Redis(port=port).pipeline()
            watching.watch("y")
            watching.multi()
            watching.set("y", "1")
            assert watching.execute() == [True]


def test_a_primary_that_is_stopped_is_left_and_its_open_requests_end() -> None:
    port = free_port()
    with settled("redis", "holdfast") as made:
        text = sentinel_pool(port, [each.port for each in made.sentinels])
        with proxy_process(text, port), writers(port, 2) as wrote:
            blocked = redis.Redis(port=port, socket_timeout=30, retry=None)
            watching = redis.Redis(port=port, retry=None).pipeline()
            watching.watch("x")
            made.nodes[0].signal(signal.SIGSTOP)
            await_another_primary(made, made.nodes[0].port)
            write_past(wrote)
            watching.multi()
            watching.set("x", "1")
            with pytest.raises(redis.RedisError):
                watching.execute()
            assert blocked.get("x") is None
        assert all(len(each.errors) <= 5 for each in wrote)


def test_held_requests_end_with_an_error_when_nobody_leads_in_time() -> None:
    port = free_port()
    with group() as made:
        made.add_node().wait_ready()
        made.add_sentinel("redis", quorum=1).wait_ready()
        text = sentinel_pool(port, [made.sentinels[0].port], failover__hold__ms=300)
        with proxy_process(text, port):
            client = redis.Redis(port=port, socket_timeout=10, retry=None)
            assert client.set("a", "1")
            made.nodes[0].kill()
            with pytest.raises(redis.RedisError):
                client.get("a")  # the connection's end may be seen first
            with pytest.raises(redis.ResponseError, match="timed out"):
                client.set("a", "2")
            made.nodes[0].start()
            until(lambda: client.set("a", "3"), "the same primary serves again")


def test_servers_and_sentinels_with_passwords_are_followed() -> None:
    port = free_port()
    with group() as made:
        made.add_node("redis").wait_ready()
        made.add_node("redis").wait_ready()
        until(lambda: made.link_up(made.nodes[1]), "the replica is in sync")
        for each in made.nodes:
            each.client.config_set("masterauth", "opensesame")
            each.client.config_set("requirepass", "opensesame")
        sentinel = made.add_sentinel(
            "holdfast", quorum=1, extra="sentinel auth-pass mymaster opensesame\nrequirepass watchword\n"
        )
        asked = redis.Redis(port=sentinel.port, password="watchword")
        until(lambda: asked.sentinel_master("mymaster")["num-slaves"] == 1, "the Sentinel knows the replica")
        directives = {"server__auth": "opensesame", "sentinel__auth": "watchword"}
        with proxy_process(sentinel_pool(port, [sentinel.port], **directives), port):
            client = redis.Redis(port=port, socket_timeout=20, retry=None)
            assert client.set("a", "1")
            asked.execute_command("SENTINEL FAILOVER mymaster")
            until(
                lambda: asked.sentinel_get_master_addr_by_name("mymaster")[1] == made.nodes[1].port,
                "it leads",
            )
            assert client.set("a", "2")
            assert redis.Redis(port=made.nodes[1].port, password="opensesame").get("a") == b"2"


# ---- whom to believe ----


def test_a_sentinel_that_was_cut_off_is_not_believed() -> None:
    view = GroupView()
    view.told("s1", A, 3)
    view.told("s2", B, 4)
    view.told("s3", A, 3)
    assert view.choice(A) == B


def test_a_sentinel_out_of_reach_counts_only_while_no_other_speaks() -> None:
    view = GroupView()
    view.told("s1", B, 4)
    view.lost("s1")
    assert view.choice() == B
    view.told("s2", A, 1)
    assert view.choice() == A


def test_events_tell_their_group() -> None:
    assert group_of_event("slave 10.0.0.2:1 10.0.0.2 1 @ mymaster 10.0.0.1 6379") == "mymaster"
    assert group_of_event("master mymaster 10.0.0.1 6379") == "mymaster"
    assert group_of_event("mymaster 10.0.0.1 6379 10.0.0.2 6379") == "mymaster"
    assert ends_hand_over("-failover-abort-slave-timeout")
    assert not ends_hand_over("+sdown")
