"""The gate in the kernel's packet filter: who is answered, and until when. Needs root and namespaces."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from holdfast.vip.gate import GATE_LATE_MS, Gate
from holdfast.vip.settings import AddressSettings, read_settings
from tests.vip.lan import ADDRESS, ADDRESS_6, WITNESS, Lan, can_make_networks
from tests.vip.witness import inside

SETTINGS = f"""
[[address]]
name = "cache"
addresses = ["{ADDRESS}/24", "{ADDRESS_6}/64"]
interface = "eth0"
server = "127.0.0.1:1"
sentinels = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
"""


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    """A host that has the address, and one that asks for it."""
    if not can_make_networks():
        pytest.skip("namespaces and bridges need root")
    made = Lan(tmp_path_factory.mktemp("gate"))
    try:
        made.add_host("h1", 1)
        made.add_host(WITNESS, 8)
        for address in (f"{ADDRESS}/24", f"{ADDRESS_6}/64"):
            words = ["ip", "-n", made.namespace("h1"), "addr", "add", address, "dev", "eth0"]
            subprocess.run([*words, *(["nodad"] if ":" in address else [])], check=True)
        yield made
    finally:
        made.close()


@pytest.fixture
def gate(lan: Lan) -> Iterator[Gate]:
    """A new gate on that host."""
    made = gate_on(lan)
    yield made
    made.remove()


def gate_on(lan: Lan) -> Gate:
    """Make a gate on the host that has the address."""
    settings: AddressSettings = read_settings(SETTINGS, "test").addresses[0]
    with inside(lan.namespace("h1")):
        try:
            return Gate(settings)
        except OSError as error:
            pytest.skip(f"no nf_tables here: {error}")


def answers_6(lan: Lan, patience_s: float = 0.2) -> bool:
    """Tell whether the IPv6 address answers a connection from the other host."""
    with inside(lan.namespace(WITNESS)):
        connection = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    with connection:
        connection.settimeout(patience_s)
        try:
            connection.connect((ADDRESS_6, 6379))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return True


def test_a_new_gate_is_shut_and_lets_through_while_it_is_open(lan: Lan, gate: Gate) -> None:
    assert lan.holders() == []
    assert not answers_6(lan)
    gate.open(60_000)
    assert lan.holders() == ["h1"]
    assert answers_6(lan, 10)
    gate.shut()
    assert lan.holders() == []
    assert not answers_6(lan)


def test_it_shuts_by_itself_when_its_time_is_over(lan: Lan, gate: Gate) -> None:
    gate.open(60_000)
    gate.open(1000)  # a renewal counts from itself, whatever was said before
    opened = time.monotonic()
    last_s = -1.0
    while (asked_s := time.monotonic() - opened) < 1.2:
        if lan.holders():
            last_s = asked_s
    assert 0 <= last_s <= (1000 + GATE_LATE_MS) / 1000


def test_the_gate_of_an_agent_that_was_killed_is_shut_by_the_next_one(lan: Lan, gate: Gate) -> None:
    gate.open(60_000)
    following = gate_on(lan)
    assert lan.holders() == []
    following.open(60_000)
    assert lan.holders() == ["h1"]


def test_rules_that_somebody_removed_are_made_again_with_the_next_renewal(lan: Lan, gate: Gate) -> None:
    gate.open(60_000)
    gone = gate_on(lan)
    gone.remove()
    gate.shut()
    gate.open(300)
    assert lan.holders() == ["h1"]
    until = time.monotonic() + 5
    while lan.holders():
        assert time.monotonic() < until


def test_without_a_gate_the_address_is_an_ordinary_one(lan: Lan) -> None:
    gate_on(lan).remove()
    assert lan.holders() == ["h1"]
