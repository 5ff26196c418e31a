"""Random command sequences, compared with the live redis-server reply for reply.

A state machine draws commands of all families over four keys, with expiry in the far
future and the long past, transactions and WATCH, in RESP2 and RESP3; each sequence is
sent to both servers as one pipeline and ends with a digest of all data. A failure is
shrunk and shown as a list of commands that can be pasted into redis-cli.

`HOLDFAST_RANDOM_COMMANDS` sets how many commands are compared (default 20,000),
`HOLDFAST_RANDOM_SEED` another seed, `CONFORMANCE_TARGET` another server than Holdfast.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.conformance import templates
from tests.conformance.recording import escaped
from tests.peers import Peer, require_peer, start_holdfast, start_redis_server
from tests.wire import Group, WireClient, parse, render

COMMANDS_WANTED = int(os.environ.get("HOLDFAST_RANDOM_COMMANDS", "20000"))
SEED = int(os.environ.get("HOLDFAST_RANDOM_SEED", "1"))
TARGET = os.environ.get("CONFORMANCE_TARGET", "holdfast")
BEGIN = ((b"RESET",), (b"FLUSHALL",))
END = ((b"DISCARD",), (b"DEBUG", b"DIGEST"), (b"SELECT", b"0"), (b"DBSIZE",))
DEBUG_ALLOWED = ("--enable-debug-command", "yes")

Command = tuple[bytes, ...]


def several(family: str) -> st.SearchStrategy[list[Command]]:
    return st.lists(templates.commands_of(family), min_size=1, max_size=12)


class Comparison(RuleBasedStateMachine):
    """Draws a sequence of commands; at its end both servers must have answered alike."""

    ours: ClassVar[WireClient]
    theirs: ClassVar[WireClient]
    compared: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[Command] = [*BEGIN]

    @initialize(protocol=st.sampled_from((b"2", b"3")))
    def speak(self, protocol: bytes) -> None:
        self.commands.append((b"HELLO", protocol))

    @rule(commands=several(templates.STRINGS))
    def strings(self, commands: list[Command]) -> None:
        self.commands += commands

    @rule(commands=several(templates.LISTS))
    def lists(self, commands: list[Command]) -> None:
        self.commands += commands

    @rule(commands=several(templates.HASHES))
    def hashes(self, commands: list[Command]) -> None:
        self.commands += commands

    @rule(commands=several(templates.SETS))
    def sets(self, commands: list[Command]) -> None:
        self.commands += commands

    @rule(commands=several(templates.SORTED_SETS))
    def sorted_sets(self, commands: list[Command]) -> None:
        self.commands += commands

    @rule(commands=several(templates.KEYS))
    def keys(self, commands: list[Command]) -> None:
        self.commands += commands

    @rule(
        commands=st.lists(
            st.one_of(
                *[
                    templates.commands_of(family)
                    for family in (templates.STRINGS, templates.SETS, templates.SORTED_SETS, templates.KEYS)
                ]
            ),
            max_size=6,
        ),
        watched=st.lists(templates.WORDS["key"], max_size=1),
        end=st.sampled_from((b"EXEC", b"EXEC", b"DISCARD")),
    )
    def transaction(self, commands: list[Command], watched: list[bytes], end: bytes) -> None:
        self.commands += [(b"WATCH", key) for key in watched]
        self.commands += [(b"MULTI",), *commands, (end,)]

    @rule(commands=st.lists(templates.commands_of(templates.TRANSACTIONS), min_size=1, max_size=3))
    def transaction_oddities(self, commands: list[Command]) -> None:
        self.commands += commands

    def teardown(self) -> None:
        commands = [*self.commands, *END]
        ours = answers(self.ours, commands)
        theirs = answers(self.theirs, commands)
        type(self).compared += len(commands)
        for place, (mine, wanted) in enumerate(zip(ours, theirs, strict=True)):
            if mine != wanted and commands[place][0] != b"HELLO":
                shown = "\n".join(map(readable, commands[len(BEGIN) : place + 1]))
                raise AssertionError(
                    f"after these commands:\n{shown}\nwanted {escaped(wanted)}\ngot    {escaped(mine)}"
                )


def answers(client: WireClient, commands: list[Command]) -> list[bytes]:
    """Run the commands as one pipeline; return the replies, sorted where order is free."""
    replies = client.pipeline(commands)
    queued: list[Command] = []
    for place, (command, reply) in enumerate(zip(commands, replies, strict=True)):
        if reply == b"+QUEUED\r\n":
            queued.append(command)
        elif command[0] == b"EXEC":
            value = parse(reply)
            if isinstance(value, Group) and value.items:
                items = zip(queued, value.items, strict=True)
                replies[place] = b"".join(ordered(each, render(item)) for each, item in items)
            queued = []
        elif command[0] in (b"DISCARD", b"MULTI"):
            queued = []
        else:
            replies[place] = ordered(command, reply)
    return replies


def ordered(command: Command, reply: bytes) -> bytes:
    """Sort the elements of a reply whose order Redis leaves free (hashes as pairs)."""
    if command[0] not in templates.UNORDERED:
        return reply
    value = parse(reply)
    if not isinstance(value, Group) or not value.items:
        return reply
    width = 2 if command[0] == b"HGETALL" else 1
    parts = [value.items[start : start + width] for start in range(0, len(value.items), width)]
    parts.sort(key=lambda part: b"".join(map(render, part)))
    return render(Group(value.mark, tuple(item for part in parts for item in part)))


def readable(command: Command) -> str:
    return " ".join(
        escaped(word) if escaped(word).isalnum() else '"' + escaped(word).replace('"', '\\"') + '"'
        for word in command
    )


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Peer, Peer]]:
    oracle = start_redis_server(*DEBUG_ALLOWED, binary=require_peer("redis-server"))
    start = start_holdfast if TARGET == "holdfast" else partial(start_redis_server, binary=TARGET)
    try:
        target = start(*DEBUG_ALLOWED)
        try:
            yield target, oracle
        finally:
            target.stop()
    finally:
        oracle.stop()


def test_random_command_sequences_are_answered_as_by_redis(servers: tuple[Peer, Peer]) -> None:
    class Run(Comparison):
        pass

    target, oracle = servers
    Run.ours, Run.theirs = target.connect(), oracle.connect()
    quick = settings(
        max_examples=60,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        print_blob=False,
    )
    round_number = 0
    while Run.compared < COMMANDS_WANTED:
        run_state_machine_as_test(seed(SEED + round_number)(Run), settings=quick)
        round_number += 1
    print(f"{Run.compared} commands compared in {round_number} rounds")
    assert Run.compared >= COMMANDS_WANTED
