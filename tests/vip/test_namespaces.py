"""The virtual address on a real network: three hosts and a client on a bridge, and real processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.vip.group import HOLDFAST, HOSTS, Watched, one_other_than, start_group
from tests.vip.lan import ADDRESS, ADDRESS_6, Lan, can_make_networks

pytestmark = pytest.mark.skipif(not can_make_networks(), reason="namespaces and bridges need root")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The group; h1 leads and holds at the beginning."""
    lan = Lan(tmp_path_factory.mktemp("lan"))
    try:
        yield start_group(lan)
    finally:
        lan.close()


def test_both_addresses_stand_on_one_host_and_status_says_why(watched: Watched) -> None:
    holder = watched.lan.holders()[0]
    assert watched.lan.having(ADDRESS_6) == [holder]
    said = subprocess.run(
        ["ip", "netns", "exec", watched.lan.namespace(holder), sys.executable, *HOLDFAST,
         "vip", "status", "--at", "127.0.0.1:26500", "--json"],
        capture_output=True, check=True,
    )  # fmt: skip
    told = json.loads(said.stdout)[0]
    assert told["state"] == "holding"
    assert "3 of 3 Sentinels say so" in told["reasons"][0]


def test_a_killed_primary_takes_the_address_with_it_and_the_client_goes_on(watched: Watched) -> None:
    holder = watched.lan.holders()[0]
    began = time.monotonic()
    watched.servers[holder].kill()
    watched.until(one_other_than(holder), 10)
    watched.client_goes_on(10)
    now_at = watched.lan.holders()[0]
    assert watched.lan.neighbour("client", ADDRESS) == watched.lan.mac(now_at)
    assert watched.longest_gap_since(began) < 3
    watched.start_server(holder, watched.lan.hosts[now_at])
    assert not watched.doubles


def test_a_frozen_host_loses_the_address_by_its_lifetime(watched: Watched) -> None:
    holder = watched.lan.holders()[0]
    began = time.monotonic()
    watched.lan.freeze(holder)
    watched.until(one_other_than(holder), 15)
    watched.client_goes_on(10)
    watched.lan.thaw(holder)
    watched.until(lambda holders: time.monotonic() - began > 8 and one_other_than(holder)(holders), 15)
    assert watched.lan.neighbour("client", ADDRESS) == watched.lan.mac(watched.lan.holders()[0])
    assert not watched.doubles


def test_a_host_that_is_cut_off_drops_the_address_and_does_not_bring_it_back(watched: Watched) -> None:
    holder = watched.lan.holders()[0]
    began = time.monotonic()
    watched.lan.cut(holder)
    watched.until(one_other_than(holder), 15)
    watched.client_goes_on(10)
    watched.lan.heal(holder)
    watched.until(lambda holders: time.monotonic() - began > 8 and one_other_than(holder)(holders), 15)
    assert not watched.doubles


def test_a_leftover_address_is_removed_at_the_start(watched: Watched) -> None:
    lan = watched.lan
    bystander = next(each for each in HOSTS if each not in lan.holders())
    subprocess.run(
        ["ip", "-n", lan.namespace(bystander), "addr", "add", "10.99.0.200/24", "dev", "eth0"], check=True
    )
    settings = lan.directory / "leftover.toml"
    settings.write_text(
        '[[address]]\nname = "other"\naddresses = ["10.99.0.200/24"]\ninterface = "eth0"\n'
        'server = "127.0.0.1:1"\nsentinels = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]\n'
    )
    agent = lan.start(bystander, *HOLDFAST, "vip", "run", "-c", str(settings), output="leftover.out")
    began = time.monotonic()
    while lan.having("10.99.0.200"):
        assert time.monotonic() - began < 10, watched.outputs()
        time.sleep(0.02)  # as in `Watched.until`
    agent.terminate()
    assert agent.wait(10) == 0
