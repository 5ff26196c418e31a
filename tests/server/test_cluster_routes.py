"""The engine's slot table follows the cluster's view: owners, roles, addresses, nodes that come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from holdfast.engine.state import Engine
from holdfast.server.cluster_routes import ALL_SLOTS, Routes
from holdfast.testing.probes_table import take_replies
from tests.lone_engine import LoneEngine

SLOT = 15495
"""Of the key a."""
MOVED = b"-MOVED 15495 %b\r\n"


@dataclass(eq=False)
class Member:
    """A row of the view."""

    host: str
    port: int = 7000
    hostname: str = ""
    is_myself: bool = False


@dataclass
class View:
    """What the door tells, to be set."""

    me: Member = field(default_factory=lambda: Member("", is_myself=True))
    others: list[Member] = field(default_factory=list)
    owners: dict[int, Member] = field(default_factory=dict)
    migrating: dict[int, Member] = field(default_factory=dict)
    importing: dict[int, Member] = field(default_factory=dict)
    primary: Member | None = None
    is_ok: bool = True
    changed: list[Callable[[int], None]] = field(default_factory=list)

    def nodes(self) -> list[Member]:
        return [self.me, *self.others]

    def owner(self, slot: int) -> Member | None:
        return self.owners.get(slot)

    def owners_among(self, slots: int) -> Iterator[tuple[int, int, Member | None]]:
        return ((slot, slot, self.owners.get(slot)) for slot in range(16384) if slots >> slot & 1)

    def open_slots(self) -> set[int]:
        return {*self.migrating, *self.importing}

    def migrating_to(self, slot: int) -> Member | None:
        return self.migrating.get(slot)

    def importing_from(self, slot: int) -> Member | None:
        return self.importing.get(slot)

    def primary_of(self, node: Member) -> Member | None:
        return self.primary if node is self.me else None

    def tell(self, slots: int = ALL_SLOTS) -> None:
        """Say that something changed."""
        for each in self.changed:
            each(slots)


class Configuration(dict[str, Any]):
    """Values, and who wants to hear of changes."""

    def on_change(self, names: tuple[str, ...], applier: Callable[[Any], None]) -> None:
        self.applier = applier


@pytest.fixture
def lone() -> LoneEngine:
    return LoneEngine(1, cluster=True)


@pytest.fixture
def configuration() -> Configuration:
    return Configuration(
        {
            "cluster-preferred-endpoint-type": "ip",
            "cluster-allow-reads-when-down": False,
            "cluster-allow-pubsubshard-when-down": True,
        }
    )


@pytest.fixture
def view(lone: LoneEngine, configuration: Configuration) -> View:
    """A view of this node and one other, which has the slot of a."""
    made = View(others=[Member("10.0.0.2")])
    made.owners = dict.fromkeys(range(16384), made.me) | {SLOT: made.others[0]}
    node = SimpleNamespace(engine=cast(Engine, lone.engine), configuration=configuration)
    Routes(cast(Any, node), cast(Any, made))
    return made


def test_a_slot_that_changes_hands_is_served_or_not_at_once(lone: LoneEngine, view: View) -> None:
    assert lone.run("GET", "a") == MOVED % b"10.0.0.2:7000"
    view.owners[SLOT] = view.me
    view.tell(1 << SLOT)
    assert lone.run("GET", "a") == b"$-1\r\n"
    view.migrating[SLOT] = view.others[0]
    view.tell(1 << SLOT)
    assert lone.run("GET", "a") == b"-ASK 15495 10.0.0.2:7000\r\n"
    del view.owners[SLOT]
    view.tell(1 << SLOT)
    assert lone.run("GET", "a") == b"-CLUSTERDOWN Hash slot not served\r\n"


def test_clients_are_told_the_address_of_now_in_the_form_that_is_asked_for(
    lone: LoneEngine, view: View, configuration: Configuration
) -> None:
    view.others[0].host, view.others[0].port = "10.9.9.9", 7001
    assert lone.run("GET", "a") == MOVED % b"10.9.9.9:7001"
    configuration["cluster-preferred-endpoint-type"] = "hostname"
    assert lone.run("GET", "a") == MOVED % b"?:7001"
    view.others[0].hostname = "two.example"
    assert lone.run("GET", "a") == MOVED % b"two.example:7001"
    configuration["cluster-preferred-endpoint-type"] = "unknown-endpoint"
    assert lone.run("GET", "a") == MOVED % b":7001"


def test_nodes_that_come_and_go_are_never_confused(lone: LoneEngine, view: View) -> None:
    for number in range(50):
        gone, come = view.others[0], Member(f"10.1.0.{number}")
        view.others.append(come)
        view.tell(0)
        view.owners[SLOT] = come
        view.others.remove(gone)
        view.tell(1 << SLOT)
        assert lone.run("GET", "a") == MOVED % f"10.1.0.{number}:7000".encode()


def test_a_replica_knows_its_primary(lone: LoneEngine, view: View) -> None:
    view.primary = view.others[0]
    view.tell(0)
    lone.run("READONLY")
    assert lone.run("GET", "a") == b"$-1\r\n"
    view.primary = None
    view.tell(0)
    assert lone.run("GET", "a") == MOVED % b"10.0.0.2:7000"


def test_a_directive_takes_effect_when_it_is_set(
    lone: LoneEngine, view: View, configuration: Configuration
) -> None:
    view.is_ok = False
    view.tell(0)
    assert lone.run("GET", "b") == b"-CLUSTERDOWN The cluster is down\r\n"
    configuration["cluster-allow-reads-when-down"] = True
    configuration.applier(configuration)
    assert lone.run("GET", "b") == b"$-1\r\n"


def test_those_who_wait_or_listen_are_told_that_the_slot_has_gone(lone: LoneEngine, view: View) -> None:
    assert lone.run("SSUBSCRIBE", "b").startswith(b"*3\r\n$10\r\nssubscribe")
    view.owners[3300] = view.others[0]
    view.tell(1 << 3300)
    assert take_replies(lone.session) == b"*3\r\n$12\r\nsunsubscribe\r\n$1\r\nb\r\n:0\r\n"
    assert lone.run("BLPOP", "c", 0) == b""
    view.owners[7365] = view.others[0]
    view.tell(1 << 7365)
    assert take_replies(lone.session) == b"-MOVED 7365 10.0.0.2:7000\r\n"
