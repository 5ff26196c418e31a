"""The same key goes to the same server as with nutcracker, for every hash and distribution.

A small number of keys by default; HOLDFAST_PROXY_KEYS=100000 asks for the full
comparison. The servers tell who they are; what is compared is who answered.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence

import pytest

from holdfast.engine.state import Engine
from holdfast.proxy import key_hashes
from holdfast.proxy.config import PoolFile, read
from holdfast.proxy.hash_pool import HashPool
from holdfast.proxy.shapes import Exchange
from tests.ports import free_port
from tests.proxy.peers import Tagged, answers, nutcracker, pool_text, proxy_process

KEYS = int(os.environ.get("HOLDFAST_PROXY_KEYS", "3000"))
WEIGHTS = (1, 2, 3, 1, 7)
NAMES = ("", " bb", " a", " server-10", " c")
"""Of the servers in every second pool."""
CASES = [
    (hash_name, distribution, tag)
    for hash_name in key_hashes.NAMES
    for distribution, tag in (("ketama", ""), ("modula", ""), ("ketama", "{}"))
]


def some_keys(count: int) -> list[bytes]:
    """Keys of all lengths and bytes, some with hash tags; no asterisk, by which the servers count."""
    luck = random.Random(8)
    letters = bytes(each for each in range(256) if each != ord("*"))
    keys = [b"key:%d" % number for number in range(count // 3)]
    while len(keys) < count * 2 // 3:
        keys.append(bytes(luck.choices(letters, k=luck.randint(1, 40))))
    shapes = [b"{user:%d}:x", b"a{%d}b", b"{}%d", b"{%d", b"}%d{", b"a{b}{%d}"]
    while len(keys) < count:
        keys.append(luck.choice(shapes) % luck.randrange(count))
    return keys


def servers_of(ports: Sequence[int], named: bool) -> list[str]:
    """Server lines with weights, some with names."""
    lines = [f"127.0.0.1:{port}:{weight}" for port, weight in zip(ports, WEIGHTS)]
    return [line + (NAMES[place] if named else "") for place, line in enumerate(lines)]


@pytest.fixture(scope="module")
def tagged() -> Iterator[Tagged]:
    servers = Tagged(len(WEIGHTS))
    yield servers
    servers.close()


@pytest.fixture(scope="module")
def sections(tagged: Tagged) -> list[tuple[str, int]]:
    """One pool a case: its text and port."""
    made = []
    for place, (hash_name, distribution, tag) in enumerate(CASES):
        directives = {"hash": hash_name, "distribution": distribution}
        if tag:
            directives["hash_tag"] = f'"{tag}"'
        port = free_port()
        made.append(
            (pool_text(f"p{place}", port, servers_of(tagged.ports, place % 2 == 1), **directives), port)
        )
    return made


def pool_of(text: str) -> tuple[HashPool, list[int]]:
    """Build the pool of a section; the second value maps its shards to the tagged servers."""
    file: PoolFile = read(text)[0]
    pool = HashPool(
        Exchange(Engine(1), None),
        file.name,
        hash_name=file.hash,
        distribution=file.distribution,
        hash_tag=file.hash_tag.encode(),
    )
    pool.take_servers([(each.name, each.host, each.port, each.weight) for each in file.servers])
    return pool, [each.port for each in file.servers]


def test_every_hash_and_distribution_places_keys_as_nutcracker_does(
    tagged: Tagged, sections: list[tuple[str, int]]
) -> None:
    keys = some_keys(KEYS)
    differences = {}
    with nutcracker("".join(text for text, _ in sections), sections[-1][1]):
        for case, (text, port) in zip(CASES, sections):
            pool, ports = pool_of(text)
            ours = [tagged.ports.index(ports[pool.ordinal_of(key)]) for key in keys]
            theirs = answers(port, keys)
            wrong = [key for key, one, other in zip(keys, ours, theirs) if one != other]
            if wrong:
                differences[case] = (len(wrong), wrong[:3])
    assert not differences


def test_the_running_proxy_sends_keys_where_the_pool_says(
    tagged: Tagged, sections: list[tuple[str, int]]
) -> None:
    keys = some_keys(min(KEYS, 3000))
    chosen = sections[::5]
    with proxy_process("".join(text for text, _ in chosen), chosen[-1][1]):
        for text, port in chosen:
            pool, ports = pool_of(text)
            expected = [tagged.ports.index(ports[pool.ordinal_of(key)]) for key in keys]
            assert answers(port, keys) == expected


def test_random_uses_all_servers_alike(tagged: Tagged) -> None:
    text = pool_text("luck", 1, servers_of(tagged.ports, False), distribution="random")
    pool, _ = pool_of(text)
    counts = [0] * len(WEIGHTS)
    for _ in range(5000):
        counts[pool.ordinal_of(b"x")] += 1
    assert all(800 < count < 1200 for count in counts)


def test_an_ejected_server_leaves_the_others_their_keys(tagged: Tagged) -> None:
    text = pool_text("ejects", 1, servers_of(tagged.ports, False))
    pool, _ = pool_of(text)
    keys = some_keys(2000)
    before = [pool.ordinal_of(key) for key in keys]
    primary = pool.shards[3].primary
    assert primary is not None
    primary.ejected = True
    pool.distribution.rebuild([(each.name.encode(), 1) for each in pool.shards], pool.live())
    after = [pool.ordinal_of(key) for key in keys]
    assert 3 not in after
    assert len({one for one, other in zip(before, after) if one == other}) == 4
