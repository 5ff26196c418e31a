"""nutcracker.yml is read as nutcracker reads it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from holdfast.proxy.config import BadFile, read
from tests.peers import require_peer

GOOD = """\
# two pools, as in twemproxy's own example
alpha:
  listen: 127.0.0.1:22121
  hash: fnv1a_64
  hash_tag: "{}"
  distribution: ketama
  auto_eject_hosts: true
  redis: true
  redis_auth: 'se cret'
  redis_db: 3
  timeout: 400
  backlog: 1024
  preconnect: true
  tcpkeepalive: true
  server_connections: 2
  client_connections: 100
  server_retry_timeout: 2000
  server_failure_limit: 1
  servers:
   - 127.0.0.1:6380:1 server1
   - 127.0.0.1:6381:10
   - /tmp/redis.sock:2 far
b:
  listen: /tmp/gamma 0666
  redis: true
  servers:
   - cache.example.org:11211:1
   - 10.0.0.1:11212:1
"""

BAD = {
    "no listen": "a:\n  redis: true\n  servers:\n   - 127.0.0.1:1:1\n",
    "no servers": "a:\n  listen: 127.0.0.1:1\n  redis: true\n",
    "unknown directive": "a:\n  listen: 127.0.0.1:1\n  colour: red\n  servers:\n   - 127.0.0.1:1:1\n",
    "duplicate": "a:\n  listen: 127.0.0.1:1\n  hash: md5\n  hash: md5\n  servers:\n   - 127.0.0.1:1:1\n",
    "bad hash": "a:\n  listen: 127.0.0.1:1\n  hash: sha1\n  servers:\n   - 127.0.0.1:1:1\n",
    "bad distribution": "a:\n  listen: 127.0.0.1:1\n  distribution: ring\n  servers:\n   - 127.0.0.1:1:1\n",
    "bad tag": "a:\n  listen: 127.0.0.1:1\n  hash_tag: abc\n  servers:\n   - 127.0.0.1:1:1\n",
    "bad bool": "a:\n  listen: 127.0.0.1:1\n  redis: yes\n  servers:\n   - 127.0.0.1:1:1\n",
    "bad number": "a:\n  listen: 127.0.0.1:1\n  timeout: -5\n  servers:\n   - 127.0.0.1:1:1\n",
    "bad port": "a:\n  listen: 127.0.0.1:x\n  servers:\n   - 127.0.0.1:1:1\n",
    "no weight": "a:\n  listen: 127.0.0.1:1\n  redis: true\n  servers:\n   - 127.0.0.1\n",
    "zero weight": "a:\n  listen: 127.0.0.1:1\n  redis: true\n  servers:\n   - 127.0.0.1:1:0\n",
    "zero connections": "a:\n  listen: 127.0.0.1:1\n  server_connections: 0\n  servers:\n   - h:1:1\n",
    "same server": "a:\n  listen: 127.0.0.1:1\n  redis: true\n  servers:\n   - h:1:1\n   - h:1:2\n",
    "same name": "a:\n  listen: 127.0.0.1:1\n  redis: true\n  servers:\n   - h:1:1 x\n   - h:2:2 x\n",
    "same listen": "".join(
        f"{name}:\n  listen: 127.0.0.1:1\n  redis: true\n  servers:\n   - h:1:1\n" for name in "ab"
    ),
    "auth without redis": "a:\n  listen: 127.0.0.1:1\n  redis_auth: x\n  servers:\n   - h:1:1\n",
    "flow": "a: {listen: 127.0.0.1:1}\n",
    "document start": "---\na:\n  listen: 127.0.0.1:1\n  servers:\n   - h:1:1\n",
    "anchor": "a: &x\n  listen: 127.0.0.1:1\n  redis: true\n  servers:\n   - h:1:1\n",
    "too deep": "a:\n  listen: 127.0.0.1:1\n  servers:\n   - h:\n      x: 1\n",
    "no pools": "# nothing\n",
    "a word": "hello\n",
}


def nutcracker_accepts(text: str, folder: Path) -> bool:
    path = folder / "nutcracker.yml"
    path.write_text(text)
    asked = subprocess.run(
        [require_peer("nutcracker"), "-t", "-c", str(path)], capture_output=True, timeout=20
    )
    return asked.returncode == 0


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    text = GOOD.replace("cache.example.org", "127.0.0.1")
    assert nutcracker_accepts(text, tmp_path)
    second, first = read(text)
    assert (second.name, first.name) == ("b", "alpha")
    assert first.listen is not None and (first.listen.host, first.listen.port) == ("127.0.0.1", 22121)
    assert (first.hash, first.distribution, first.hash_tag) == ("fnv1a_64", "ketama", "{}")
    assert (first.redis_auth, first.redis_db, first.timeout, first.backlog) == ("se cret", 3, 400, 1024)
    assert first.preconnect and first.auto_eject_hosts and first.tcpkeepalive and not first.reuseport
    assert (first.server_connections, first.client_connections) == (2, 100)
    assert (first.server_retry_timeout, first.server_failure_limit) == (2000, 1)
    assert [(each.name, each.host, each.port, each.weight) for each in first.servers] == [
        ("far", "/tmp/redis.sock", 0, 2),
        ("server1", "127.0.0.1", 6380, 1),
        ("127.0.0.1:6381", "127.0.0.1", 6381, 10),
    ]
    assert second.listen is not None and (second.listen.host, second.listen.permissions) == (
        "/tmp/gamma",
        0o666,
    )
    assert [each.name for each in second.servers] == ["127.0.0.1", "10.0.0.1:11212"]


def test_what_is_not_said_has_nutcrackers_defaults() -> None:
    pool = read("a:\n  listen: 127.0.0.1:1\n  redis: true\n  servers:\n   - h:1:1\n")[0]
    assert (pool.hash, pool.distribution, pool.hash_tag, pool.timeout) == ("fnv1a_64", "ketama", "", -1)
    assert (pool.backlog, pool.server_connections, pool.redis_db) == (512, 1, 0)
    assert (pool.server_retry_timeout, pool.server_failure_limit) == (30000, 2)
    assert not (pool.preconnect or pool.auto_eject_hosts or pool.tcpkeepalive or pool.reuseport)


@pytest.mark.parametrize("text", BAD.values(), ids=list(BAD))
def test_what_nutcracker_refuses_is_refused(text: str, tmp_path: Path) -> None:
    assert not nutcracker_accepts(text, tmp_path)
    with pytest.raises(BadFile):
        read(text)


def test_a_memcached_pool_is_refused_by_name() -> None:
    with pytest.raises(BadFile, match="memcached"):
        read("a:\n  listen: 127.0.0.1:1\n  servers:\n   - h:1:1\n")
