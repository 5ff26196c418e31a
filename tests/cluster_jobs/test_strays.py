"""Stray keys in virtual time: what one tool deletes while another moves the slot."""

from __future__ import annotations

from typing import Any

from holdfast.cluster.jobs.contact import Contact
from holdfast.cluster.jobs.keys_at_both import Keep
from holdfast.cluster.jobs.remote import Access
from holdfast.cluster.jobs.strays import gather
from holdfast.sim.nodes import PORT
from holdfast.sim.scenario.cluster import form_cluster
from holdfast.sim.scenario.stage import Stage

OK = ("OK", b"OK")


def test_a_stray_like_the_owners_key_is_deleted_but_not_while_the_slot_moves_to_its_holder() -> None:
    """When the slot has moved the owner's is deleted, and the stray is the only copy (swarm seed 100564)."""
    stage = Stage(1)
    gathered: list[int] = []
    try:
        form_cluster(stage, "a, b", None, {})
        a, b = (stage.ask(name, "CLUSTER", "MYID").decode() for name in "ab")

        async def tool(host: Any) -> None:
            contact = await Contact.open([("a", PORT)], Access())
            gathered.append(await gather(contact, 0, b, a, Keep.ASK))
            await contact.close()

        assert stage.ask("a", "SET", "{06S}", "kept") in OK
        assert stage.ask("b", "CLUSTER", "SETSLOT", 0, "IMPORTING", a) in OK
        assert stage.ask("b", "ASKING") in OK
        assert stage.ask("b", "SET", "{06S}", "kept") in OK
        assert stage.ask("a", "CLUSTER", "SETSLOT", 0, "MIGRATING", b) in OK
        stage.world.start("early tool", tool)
        assert stage.await_true(lambda: gathered == [0], 10)
        assert stage.ask("b", "CLUSTER", "GETKEYSINSLOT", 0, 10) == [b"{06S}"]
        assert stage.ask("a", "CLUSTER", "SETSLOT", 0, "STABLE") in OK
        stage.world.start("late tool", tool)
        assert stage.await_true(lambda: gathered == [0, 1], 10)
        assert stage.ask("b", "CLUSTER", "GETKEYSINSLOT", 0, 10) == []
    finally:
        stage.close()
