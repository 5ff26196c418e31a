"""REPLCONF without a word, in the stream of a primary: nothing to do, and no fault."""

from types import SimpleNamespace
from typing import Any

from holdfast.engine.values import NO_REPLY
from holdfast.replication.serving import S_PRIMARY, Serving


def test_a_bare_replconf_of_the_primary_asks_for_nothing() -> None:
    asked: list[bool] = []
    serving: Any = SimpleNamespace(_primary=SimpleNamespace(primary_asks=lambda words: asked.append(True)))
    session: Any = SimpleNamespace(flags=S_PRIMARY)
    assert Serving.replconf(serving, session, [b"REPLCONF"]) is NO_REPLY
    assert not asked
    assert Serving.replconf(serving, session, [b"REPLCONF", b"GETACK", b"*"]) is NO_REPLY
    assert asked
