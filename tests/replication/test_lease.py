"""The lease of one node, without a clock or a socket: tokens, majorities, the numbered list."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.replication.lease import GrantError, Lease, VoterList, parse_grant
from holdfast.replication.replica_grants import Promise, ReplicaGrants

RUN = "run"
S = 1_000_000


class Voters:
    """Sentinels that keep the list the primary told them, and grant."""

    def __init__(self, names: str, epoch: int = 1) -> None:
        self.lease = Lease(RUN)
        self.kept = {name: VoterList() for name in names}
        self.wishes = {name: frozenset(names) for name in names}
        self.epoch = epoch

    def grant(self, name: str, token_us: int, now_us: int, keeps: bool = True, lease_ms: int = 1000) -> None:
        """Send one grant; the Sentinel keeps the list of the answer unless it cannot."""
        kept, wish = self.kept[name], self.wishes[name]
        words = [name, str(lease_ms), str(self.epoch), RUN, str(token_us), str(kept.epoch), str(kept.step)]
        words += ["VOTERS", *sorted(kept.ids)] if kept.ids else []
        words += ["WISH", *sorted(wish)] if wish != kept.ids else []
        self.lease.hear([each.encode() for each in words], self.epoch, True, now_us)
        if keeps and self.lease.voters.number > kept.number:
            self.kept[name] = self.lease.voters

    def settle(self, names: str, token_us: int = 1) -> None:
        """Let these Sentinels send a few grants each."""
        for _ in range(3):
            for name in names:
                self.grant(name, token_us, token_us)


def test_there_is_no_lease_before_everybody_in_the_first_list_wants_it() -> None:
    voters = Voters("abc")
    voters.settle("ab")
    assert not voters.lease.voters.ids
    voters.settle("abc")
    assert voters.lease.voters == VoterList(1, 1, frozenset("abc"))
    assert voters.lease.is_on


def test_a_lease_ends_its_time_after_the_token_of_the_last_of_a_majority() -> None:
    voters = Voters("abc")
    voters.settle("abc")
    voters.grant("a", 5 * S, 5 * S + 9)
    assert not voters.lease.holds(5 * S)
    voters.grant("b", 4 * S, 5 * S + 9)
    assert voters.lease.ends_us == 5 * S
    voters.grant("c", 6 * S, 6 * S)
    assert voters.lease.ends_us == 6 * S
    assert voters.lease.holds(6 * S - 1) and not voters.lease.holds(6 * S)


def test_tokens_of_another_run_or_of_the_future_and_grants_of_an_older_epoch_count_nothing() -> None:
    voters = Voters("abc")
    voters.settle("abc")
    before = voters.lease.ends_us
    for run, epoch, token in (("other", 1, 5 * S), (RUN, 0, 5 * S), (RUN, 1, 7 * S), (RUN, 1, 0)):
        for name in "abc":
            words = [name, "1000", str(epoch), run, str(token), "1", "1", "VOTERS", "a", "b", "c"]
            voters.lease.take(parse_grant(words), 1, True, 6 * S)
    assert voters.lease.ends_us == before


def test_a_restarted_primary_has_no_grant_and_learns_the_list_from_the_grants() -> None:
    voters = Voters("abc")
    voters.settle("abc")
    voters.lease, voters.epoch = Lease(RUN), 2
    voters.grant("a", 0, S)
    assert voters.lease.voters == VoterList(1, 1, frozenset("abc"))
    assert voters.lease.is_on and not voters.lease.holds(S)
    voters.grant("a", S, S)
    voters.grant("b", S, S)
    assert voters.lease.holds(S)
    assert voters.lease.voters == VoterList(2, 1, frozenset("abc"))


def test_the_list_changes_by_one_when_a_majority_of_it_wants_that_and_both_lists_bind_meanwhile() -> None:
    voters = Voters("abc")
    voters.settle("abc")
    voters.kept["d"] = voters.kept["e"] = VoterList()
    voters.wishes["d"] = frozenset("abcde")
    voters.wishes["a"] = frozenset("abcde")
    voters.settle("a")
    assert voters.lease.voters.step == 1
    voters.wishes["b"] = frozenset("abcde")
    voters.grant("b", 3 * S, 3 * S, keeps=False)
    assert voters.lease.voters == VoterList(1, 2, frozenset("abcd"))
    assert voters.lease.before == VoterList(1, 1, frozenset("abc"))
    voters.grant("c", 3 * S, 3 * S, keeps=False)
    assert not voters.lease.holds(3 * S), "two of the old list are no majority of the new one"
    voters.grant("a", 3 * S, 3 * S)
    assert voters.lease.holds(3 * S)
    voters.settle("abcd", 4 * S)
    assert voters.lease.voters.ids == frozenset("abcde"), "one at a time, then the other"


def test_a_list_that_a_majority_has_left_behind_cannot_hold_the_lease() -> None:
    voters = Voters("abc")
    voters.settle("abc")
    old, voters.lease, voters.epoch = voters.kept["c"], Lease(RUN), 3
    newer = VoterList(2, 1, frozenset("abd"))
    voters.kept = {"a": newer, "b": newer, "c": old, "d": newer}
    voters.wishes = dict.fromkeys("abcd", newer.ids)
    voters.grant("c", 0, S, keeps=False)
    voters.grant("c", S, S, keeps=False)
    assert not voters.lease.holds(S)
    voters.settle("abd", S)
    assert voters.lease.voters == VoterList(3, 1, newer.ids) and voters.lease.holds(S)


def test_a_majority_may_decline_and_one_alone_may_not() -> None:
    voters = Voters("abc")
    voters.settle("abc")
    voters.grant("a", S, S, lease_ms=0)
    assert voters.lease.is_on
    voters.grant("b", S, S, lease_ms=0)
    assert not voters.lease.is_on


@pytest.mark.parametrize(
    "words", ["a 1 1 r 1 0", "a x 1 r 1 0 0", "a 1 1 r 1 0 0 b", "a 1 1 r 1 1 1", "a 60001 1 r 1 0 0"]
)
def test_broken_grants_are_refused(words: str) -> None:
    with pytest.raises(GrantError):
        parse_grant(words.split())


def test_replicas_grant_together_or_not_at_all() -> None:
    grants = ReplicaGrants()
    grants.probed(100, 5 * S)
    grants.acknowledged("x", 100)
    grants.settle({"x", "y"}, ["x", "y"])
    assert grants.ends_us == 0
    grants.acknowledged("y", 99)
    grants.settle({"x", "y"}, ["x", "y"])
    assert grants.ends_us == 0
    grants.acknowledged("y", 100)
    grants.settle({"x", "y"}, ["x", "y"])
    assert grants.ends_us == 5 * S
    grants.settle({"x", "y"}, ["x"])
    assert grants.ends_us == 0, "one that is gone may be promoted"
    grants.settle({"x"}, ["x"])
    assert grants.ends_us == 0, "who was ever attached counts on"
    grants.settle(None, ["x", "y"])
    assert grants.ends_us == 0, "without knowing who could lead there is no such lease"


def test_a_replica_keeps_its_promise_a_tenth_longer_and_after_a_restart_as_long() -> None:
    promise = Promise(0)
    assert promise.left_ms(0, 0) == 0
    assert promise.left_ms(1000, 100_000) == 1000
    promise.given(1000, 5 * S)
    assert promise.left_ms(1000, 5 * S) == 1100
    assert promise.left_ms(1000, 5 * S + 1_100_000) == 0


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.sampled_from([0, 300, 1000]),
        st.integers(1, 2),
        st.sampled_from([RUN, "other"]),
        st.integers(-2, 2),
        st.sampled_from([frozenset("abc"), frozenset("abcd"), frozenset("abd")]),
        st.integers(1, 6),
        st.booleans(),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.integers(1, 12))
def test_a_grant_that_is_said_again_changes_what_it_would_if_it_were_read_anew(
    steps: list[tuple[str, int, int, str, int, frozenset[str], int, bool]], lost: int
) -> None:
    quick, whole, now_us = Lease(RUN), Lease(RUN), 10
    for number, (name, lease_ms, epoch, run, age_us, wish, times, knows) in enumerate(steps):
        if number == lost:
            quick.drop()
            whole.drop()
        kept = whole.voters if knows else VoterList()
        for _ in range(times):
            now_us += 100_000
            words = [name, str(lease_ms), str(epoch), run, str(max(now_us + age_us, 0)), str(kept.epoch)]
            words += [str(kept.step), *(["VOTERS", *sorted(kept.ids)] if kept.ids else [])]
            words += ["WISH", *sorted(wish), "NODES", "n"]
            quick.hear([each.encode() for each in words], 1, True, now_us)
            whole.take(parse_grant(words), 1, True, now_us)
            assert (quick.voters, quick.before, quick.ends_us) == (whole.voters, whole.before, whole.ends_us)
            assert (quick.is_on, quick.lease_ms, quick.nodes) == (whole.is_on, whole.lease_ms, whole.nodes)
