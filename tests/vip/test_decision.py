"""The decision in tables, the lease's arithmetic, the votes, the file, the frames."""

from __future__ import annotations

import ipaddress
import random

import pytest

from holdfast.sentinel.address_grants import AddressGrants
from holdfast.server.address_lease import LEASE_MS_MAX, kept_ms
from holdfast.vip.announce import gratuitous_arp, neighbour_advertisement
from holdfast.vip.decision import TRANSITIONS, AddAddress, Event, IllegalEvent, Machine, State
from holdfast.vip.lease import Lease, StockVoter
from holdfast.vip.settings import BadSettings, read_settings

GOOD = """
[[address]]
name = "cache"
addresses = ["10.0.0.100/24", "fd00::100/64"]
interface = "eth0"
server = "10.0.0.1:6379"
sentinels = ["10.0.0.1:26379", "10.0.0.2:26379", "[fd00::3]:26379"]
"""


def machine(*, follows_primary: bool = True) -> Machine:
    """Return a machine with three voters and a lease of 1.5 s."""
    return Machine(("a", "b", "c"), 1500, random.Random(1), follows_primary=follows_primary)


def effects(made: Machine) -> list[str]:
    """Take the effects, by their names."""
    taken, made.effects = [type(each).__name__ for each in made.effects], []
    return [each for each in taken if each != "Tell"]


def holding(now_ms: int = 1000) -> Machine:
    """Return a machine that holds the address, granted at `now_ms` by `a` and `b`."""
    made = machine()
    for voter in "ab":
        made.named_primary(voter, "10.0.0.1:6379", True, now_ms)
    made.server(True, "it answers", now_ms)
    for voter in "ab":
        made.answered(voter, True, "", now_ms, now_ms)
    made.prepared(now_ms)
    made.added(now_ms)
    assert made.state is State.HOLDING
    return made


def test_it_asks_prepares_adds_announces_in_this_order() -> None:
    made = holding()
    assert effects(made) == ["Ask", "Prepare", "AddAddress", "Announce"]


def test_it_takes_the_address_away_before_it_gives_its_votes_back() -> None:
    made = holding()
    effects(made)
    made.server(False, "refused", 1100)
    assert effects(made) == ["RemoveAddress"]
    made.removed(1110)
    assert effects(made) == ["GiveBack"]


def test_a_lease_that_nobody_renews_ends_the_holding_by_its_clock() -> None:
    made = holding(1000)
    made.named_primary("a", "10.0.0.1:6379", True, 2400)
    made.named_primary("b", "10.0.0.1:6379", True, 2400)
    made.look(2499)
    assert made.state is State.HOLDING
    made.look(2500)
    assert made.state is State.LEAVING


def test_one_voter_of_three_is_not_enough() -> None:
    made = machine(follows_primary=False)
    made.server(True, "it answers", 1000)
    made.answered("a", True, "", 1000, 1000)
    made.look(1010)
    assert made.state is State.CLAIMING


def test_a_grant_that_comes_late_counts_from_its_question() -> None:
    lease = Lease(3, 1500)
    lease.granted("a", 1000)
    lease.granted("b", 1400)
    assert lease.ends_ms() == 2500
    lease.denied("a")
    assert lease.ends_ms() == 0


def test_every_event_is_known_or_an_error_that_names_both() -> None:
    for state in State:
        for event in Event:
            made = machine()
            made.state = state
            if (state, event) in TRANSITIONS:
                made._go(event)
            else:
                with pytest.raises(IllegalEvent, match=f"{event.name} in {state.name}"):
                    made._go(event)


def test_a_vote_is_one_agents_until_it_runs_out_or_comes_back() -> None:
    votes = AddressGrants(0)
    now = kept_ms(LEASE_MS_MAX)
    assert votes.ask("cache", "h1", 1500, False, now).granted
    refused = votes.ask("cache", "h2", 1500, False, now + 10)
    assert (refused.granted, refused.holder, refused.left_ms) == (False, "h1", kept_ms(1500) - 10)
    assert votes.ask("other", "h2", 1500, False, now + 10).granted
    assert not votes.release("cache", "h2", now + 20)
    assert votes.release("cache", "h1", now + 20)
    assert votes.ask("cache", "h2", 1500, False, now + 30).granted
    assert votes.ask("cache", "h1", 1500, False, now + 30 + kept_ms(1500)).granted


def test_a_vote_stands_as_long_as_the_agents_kernel_may_be_late_and_no_longer() -> None:
    votes = AddressGrants(0)
    now = kept_ms(LEASE_MS_MAX)
    assert votes.ask("cache", "h1", 1000, False, now, 20).left_ms == 1120
    assert not votes.ask("cache", "h2", 1000, False, now + 1119, 20).granted
    assert votes.ask("cache", "h2", 1000, False, now + 1120, 20).granted
    with pytest.raises(ValueError, match="0 to 500 milliseconds late"):
        votes.ask("cache", "h2", 1000, True, now + 1130, 501)


def test_a_kernel_of_whole_seconds_gets_no_more_than_the_lease_and_no_renewal_of_less_than_one() -> None:
    made = Machine(("a", "b", "c"), 1500, random.Random(1), follows_primary=False, grain_ms=1000)
    made.server(True, "it answers", 1000)
    for voter in "ab":
        made.answered(voter, True, "", 1000, 1010)
    made.prepared(1400)
    assert [each.left_ms for each in made.effects if isinstance(each, AddAddress)] == [1000]
    made.added(1400)
    made.effects.clear()
    made.answered("a", True, "", 1500, 1600)
    made.answered("b", True, "", 1500, 2100)
    assert not [each for each in made.effects if isinstance(each, AddAddress)]


def test_what_is_left_of_a_lease_must_be_something_the_kernel_can_count() -> None:
    made = Machine(("a", "b", "c"), 1500, random.Random(1), follows_primary=False, grain_ms=1000)
    made.server(True, "it answers", 1000)
    for voter in "ab":
        made.answered(voter, True, "", 1000, 1010)
    made.prepared(1501)
    assert made.state is State.STANDBY


def test_a_sentinel_that_has_just_started_votes_for_nobody_but_the_holder() -> None:
    votes = AddressGrants(0)
    assert not votes.ask("cache", "h2", 1500, False, 100).granted
    assert votes.ask("cache", "h1", 1500, True, 200).granted
    assert not votes.ask("cache", "h2", 1500, True, 300).granted


def test_a_stock_sentinels_word_counts_after_an_earlier_lease_and_not_across_a_gap() -> None:
    voter = StockVoter(1500)
    for now in range(0, kept_ms(1500), 100):
        assert not voter.said(True, now, now)
    assert voter.said(True, kept_ms(1500), kept_ms(1500))
    assert not voter.said(True, 9000, 9000)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("10.0.0.100/24", "10.0.0.300/24", "no address with prefix"),
        ('name = "cache"', "", "'name' is missing"),
        ('name = "cache"', 'name = "cache"\nlease = 3', "unknown setting 'lease'"),
        ('name = "cache"', 'name = "cache"\nlease-ms = 100', "lease-ms is 500 to 5000"),
        ('"10.0.0.2:26379"', '"10.0.0.1:26379"', "3 Sentinels or more"),
        ('"10.0.0.1:6379"', '"10.0.0.1"', "no host:port"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_place(old: str, new: str, words: str) -> None:
    with pytest.raises(BadSettings, match=words) as raised:
        read_settings(GOOD.replace(old, new, 1), "vip.toml")
    assert str(raised.value).startswith("vip.toml: address 1")


def test_a_file_is_read() -> None:
    settings = read_settings(GOOD, "vip.toml").addresses[0]
    assert settings.sentinels[2] == ("fd00::3", 26379)
    assert [each.version for each in settings.addresses] == [4, 6]


def test_frames_are_those_of_the_rfcs() -> None:
    mac = bytes.fromhex("020000000001")
    arp = gratuitous_arp(mac, ipaddress.IPv4Address("10.0.0.100"), is_reply=False)
    words = "ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000064 000000000000 0a000064"
    assert arp.hex() == words.replace(" ", "")
    frame = neighbour_advertisement(mac, ipaddress.IPv6Address("fd00::100"))
    assert frame[:6].hex() == "333300000001"
    assert len(frame) == 14 + 40 + 32
