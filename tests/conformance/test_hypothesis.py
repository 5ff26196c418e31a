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
from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
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
        type(self).compared += len(commands)
        if self.difference(commands) is None:
            return
        fewest = shortest(commands, lambda fewer: self.difference([*BEGIN, *fewer]) is not None)
        found = self.difference([*BEGIN, *fewest])
        if found is None:
            pytest.fail(
                "the servers differed once, but not again with the same commands:\n" + shown(commands)
            )
        place, mine, wanted = found
        sent = shown([*BEGIN, *fewest][: place + 1])
        pytest.fail(f"after these commands:\n{sent}\nwanted {escaped(wanted)}\ngot    {escaped(mine)}")

    def difference(self, commands: list[Command]) -> tuple[int, bytes, bytes] | None:
        """Run the commands on both; return the first place where replies differ, and both replies."""
        ours, theirs = answers(self.ours, commands), answers(self.theirs, commands)
        for place, (mine, wanted) in enumerate(zip(ours, theirs, strict=True)):
            if mine != wanted and commands[place][0] != b"HELLO":
                return place, mine, wanted
        return None


def shortest(commands: list[Command], fails: Callable[[list[Command]], bool]) -> list[Command]:
    """Leave out ever smaller runs of commands while the rest still fails.

    Hypothesis could shrink too, but through the draws; on the commands it takes a second.
    """
    run = len(commands)
    while run:
        start = 0
        while start < len(commands):
            fewer = commands[:start] + commands[start + run :]
            if fails(fewer):
                commands = fewer
            else:
                start += run
        run //= 2
    return commands


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
        elif command[0] in (b"DISCARD", b"MULTI") and reply == b"+OK\r\n":
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


def shown(commands: list[Command]) -> str:
    return "\n".join(map(readable, commands))


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
        phases=[Phase.generate],
    )
    round_number = 0
    while Run.compared < COMMANDS_WANTED:
        run_state_machine_as_test(seed(SEED + round_number)(Run), settings=quick)
        round_number += 1
    print(f"{Run.compared} commands compared in {round_number} rounds")
    assert Run.compared >= COMMANDS_WANTED
