"""holdfast.toml: what it can say, and that each complaint names its line."""

from __future__ import annotations

import pytest

from holdfast.ops.deployment_file import DeploymentFileError, read_deployment
from holdfast.ops.model import ClusterShape, Deployment, Engine, Persistence, Place

EVERYTHING = """\
name = "orders"
engine = "redis"
port = 7000
data = "there"
password = "secret"
replicas = 1
sentinels = 5
persistence = "log"
down-after-ms = 5000

[options]
maxmemory = "1gb"
activedefrag = false

[hosts]
a = "10.0.0.1"
b = { address = "10.0.0.2" }

[processes.node-2]
host = "a"
port = 7999
"""


def test_an_empty_file_is_what_up_runs_without_one() -> None:
    assert read_deployment("") == Deployment()


def test_a_file_says_everything_and_processes_are_dealt_to_hosts_in_turn() -> None:
    made = read_deployment(EVERYTHING)
    assert (made.name, made.engine, made.password) == ("orders", Engine.REDIS, "secret")
    assert made.persistence is Persistence.LOG and made.quorum == 3
    assert made.options == (("maxmemory", "1gb"), ("activedefrag", "no"))
    assert made.places == (("node-2", Place("a", 7999)),)
    placed = {name: (made.place_of(name)[0].name, made.place_of(name)[1]) for name in made.process_names}
    assert placed["node-1"] == ("a", 7001) and placed["node-2"] == ("a", 7999)
    assert placed["sentinel-1"] == ("a", 27000) and placed["sentinel-2"] == ("b", 27001)


def test_a_cluster_has_no_sentinels() -> None:
    made = read_deployment('cluster = "3x1"')
    assert made.cluster == ClusterShape(3, 1)
    assert [each for each in made.process_names if "sentinel" in each] == []
    assert made.data_nodes == 6


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("port = 6379\nreplicas = two", "f.toml:2: Invalid value"),
        ("port = 6379\n\nreplica = 2", "f.toml:3: replica: no such setting"),
        ('# x\nport = "6379"', "f.toml:2: port: must be a whole number"),
        ('engine = "memcached"', "f.toml:1: engine: must be one of 'holdfast', 'redis', 'valkey'"),
        ("replicas = 2\nsentinels = 0", "f.toml:2: sentinels: replicas without Sentinels"),
        ('cluster = "3"', "f.toml:1: cluster: a cluster is written as SHARDSxREPLICAS"),
        ('cluster = "2x1"', "f.toml:1: cluster: a cluster needs 3 shards"),
        ("[options]\nport = 1", "f.toml:2: options.port: is set by the deployment itself"),
        ('[hosts]\na = "10.0.0.1"', "f.toml:1: password: host a can be reached from other machines"),
        ('[hosts]\na = "example"', "f.toml:1: hosts: a: 'example' is no IP address"),
        ("[processes.node-9]\nport = 1", "f.toml:1: processes.node-9: there is no such process"),
        ("port = 65535", "f.toml:1: port: node-1 would need port 65536"),
        ("port = 7000\n[processes.node-1]\nport = 7002", "f.toml:1: port: node-2 and node-1 would both"),
        ('engine = "redis"\nmin-replicas-to-ack = 1', "f.toml:2: min-replicas-to-ack: redis-server has no"),
    ],
)
def test_a_complaint_names_file_line_and_setting(text: str, complaint: str) -> None:
    with pytest.raises(DeploymentFileError) as raised:
        read_deployment(text, "f.toml")
    assert complaint in str(raised.value)
