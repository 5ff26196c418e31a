"""Real processes under a lease: what a client is told when it runs out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.sentinel.group import Group, group, until


@pytest.fixture
def leased() -> Iterator[Group]:
    """One node under a lease of 300 ms, three Sentinels that would not replace it for long."""
    with group(down_after_ms=60_000) as made:
        made.add_node("holdfast", "--enable-debug-command", "yes", "--lease-hold-ms", "700").wait_ready()
        for _ in range(3):
            made.add_sentinel("holdfast", 2, "sentinel primary-lease-ms mymaster 300\n")
        made.settle()
        until(lambda: lease(made).get("lease") == "held", "the lease is held")
        yield made


def lease(made: Group) -> dict[str, object]:
    """Return what the node's INFO tells."""
    told: dict[str, object] = made.nodes[0].client.info("replication")
    return told


def batch_over_a_stall(made: Group) -> list[object]:
    """Send two writes with a second's stall between them; the second is executed without a lease."""
    pipe = made.nodes[0].client.pipeline(transaction=False)
    pipe.set("a", "1").execute_command("DEBUG SLEEP 1")
    pipe.set("b", "1")
    return pipe.execute(raise_on_error=False)


def test_replies_of_a_batch_that_outlived_the_lease_leave_when_it_is_back(leased: Group) -> None:
    assert batch_over_a_stall(leased) in ([True, "OK", True], [True, b"OK", True], [True, True, True])
    assert lease(leased)["lease_unknown_outcomes"] == 0
    assert "The lease is back" in leased.nodes[0].log()


def test_without_a_new_lease_their_outcome_is_unknown_and_later_writes_are_refused(leased: Group) -> None:
    for _ in range(5):
        for each in leased.sentinels:
            each.kill()
        replies = batch_over_a_stall(leased)
        if "NOLEASE" not in str(replies[0]):
            break
        for each in leased.sentinels:  # killing them took so long that the lease had ended before
            each.start()
        until(lambda: lease(leased)["lease"] == "held", "the lease is held again")
    assert all("NOACK" in str(each) for each in replies), replies
    client = leased.nodes[0].client
    with pytest.raises(redis.ResponseError, match="NOLEASE"):
        client.set("c", "1")
    assert client.get("c") is None
    client.config_set("primary-lease-ms", "0")
    assert client.set("c", "1"), "the operator may do without"


def test_writes_wait_while_a_lease_is_missing_for_a_moment(leased: Group) -> None:
    for each in leased.sentinels:
        each.kill()
    until(lambda: lease(leased)["lease"] == "lost", "the lease has ended")
    leased.nodes[0].client.config_set("lease-hold-ms", "20000")
    for each in leased.sentinels:
        each.start()
    client = redis.Redis(port=leased.nodes[0].port, socket_timeout=30)
    until(lambda: client.set("d", "1"), "it is written when the lease is back")


def test_after_a_restart_nothing_is_written_before_a_leader_has_confirmed_the_node(leased: Group) -> None:
    for each in leased.sentinels:
        each.kill()
    node = leased.nodes[0]
    node.kill()
    node.start()
    node.wait_ready()
    with pytest.raises(redis.ResponseError, match="waiting for a leader"):
        node.client.set("e", "1")
    for each in leased.sentinels:
        each.start()
    until(lambda: node.client.set("e", "1"), "a leader confirms it")
    assert int(str(lease(leased)["term_epoch"])) >= 1
