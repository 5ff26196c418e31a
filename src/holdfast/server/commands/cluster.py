"""CLUSTER: what a node tells of its cluster (https://redis.io/commands/cluster-info/ and around it).

The index of the family is `register`. Everything is asked of `node.doors.cluster`; what is
told of keys is the engine's. Not here: what changes the cluster (`cluster_orders`).
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.commands.help import help_command
from holdfast.commands.slot_keys import count_keys_in_slot, keys_in_slot
from holdfast.commands.spec import Spec
from holdfast.engine.registry import add_container, add_function
from holdfast.engine.slots import slot_of_key
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import CommandError, Pairs, Verbatim
from holdfast.server.cluster import Cluster, ClusterNode
from holdfast.server.cluster_routes import endpoint
from holdfast.server.commands.words import Args, integer, text
from holdfast.server.node import node_of

SLOTS = 16384
Function = Callable[[Session, Args], object]
HELP = (
    "ADDSLOTS <slot> [<slot> ...]",
    "    Take slots for this node.",
    "ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
    "    Take ranges of slots for this node.",
    "BUMPEPOCH",
    "    Give this node a new config epoch.",
    "COUNT-FAILURE-REPORTS <node-id>",
    "    How many nodes report that a node fails.",
    "COUNTKEYSINSLOT <slot>",
    "    How many keys a slot has here.",
    "DELSLOTS <slot> [<slot> ...]",
    "    Forget who serves slots.",
    "DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
    "    Forget who serves ranges of slots.",
    "FAILOVER [FORCE|TAKEOVER]",
    "    Make this replica the primary.",
    "FORGET <node-id>",
    "    Remove a node from the cluster.",
    "GETKEYSINSLOT <slot> <count>",
    "    Keys of a slot here.",
    "FLUSHSLOTS",
    "    Give up all slots of this node.",
    "INFO",
    "    The state of the cluster.",
    "KEYSLOT <key>",
    "    The slot of a key.",
    "MEET <ip> <port> [<bus-port>]",
    "    Join with another node.",
    "MYID",
    "    The id of this node.",
    "MYSHARDID",
    "    The id of this node's shard.",
    "NODES",
    "    All nodes as this one sees them, a line each:",
    "    <id> <ip:port@bus-port[,hostname]> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
    "REPLICATE <node-id>",
    "    Become a replica of a node.",
    "RESET [HARD|SOFT]",
    "    Leave the cluster (default: soft).",
    "SET-CONFIG-EPOCH <epoch>",
    "    Set the config epoch of a new node.",
    "SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)",
    "    Set the state of a slot.",
    "REPLICAS <node-id>",
    "    The replicas of a node.",
    "SAVECONFIG",
    "    Write the cluster's configuration to disk.",
    "SLOTS",
    "    Ranges of slots, each with its first and last slot and with",
    "    addresses, ports and ids of its primary and replicas.",
    "SHARDS",
    "    The shards: their slots and their nodes.",
    "LINKS",
    "    The connections between this node and others,",
    "    a map of attributes each.",
)


def cluster_of(session: Session) -> Cluster:
    """Return the cluster that a session's node is in; CommandError where it is in none."""
    cluster = node_of(session).doors.cluster if session.engine.node is not None else None
    if cluster is None:
        raise CommandError("ERR This instance has cluster support disabled")
    return cluster


def known_node(cluster: Cluster, name: bytes, otherwise: str = "Unknown node") -> ClusterNode:
    """Return the node of that id; CommandError when there is none."""
    found = cluster.node(text(name))
    if found is None:
        raise CommandError(f"ERR {otherwise} {text(name)}")
    return found


# ---- this node ----


def help_(session: Session, args: Args) -> object:
    """CLUSTER HELP."""
    cluster_of(session)
    return help_command("CLUSTER", HELP)(session, args)


def info(session: Session, args: Args) -> object:
    """CLUSTER INFO."""
    return Verbatim("".join(f"{name}:{value}\r\n" for name, value in cluster_of(session).info()))


def my_id(session: Session, args: Args) -> object:
    """CLUSTER MYID."""
    return cluster_of(session).me.id


def my_shard_id(session: Session, args: Args) -> object:
    """CLUSTER MYSHARDID."""
    return cluster_of(session).me.shard_id


def links(session: Session, args: Args) -> object:
    """CLUSTER LINKS."""
    return [
        Pairs(
            [
                (b"direction", each.direction),
                (b"node", each.node_id),
                (b"create-time", each.create_time_ms),
                (b"events", each.events),
                (b"send-buffer-allocated", each.send_buffer_allocated),
                (b"send-buffer-used", each.send_buffer_used),
            ]
        )
        for each in cluster_of(session).links()
    ]


def count_failure_reports(session: Session, args: Args) -> object:
    """CLUSTER COUNT-FAILURE-REPORTS node-id."""
    cluster = cluster_of(session)
    return cluster.failure_reports(known_node(cluster, args[2]).id)


# ---- all nodes ----


def nodes(session: Session, args: Args) -> object:
    """CLUSTER NODES."""
    return Verbatim(cluster_of(session).nodes_text())


def replicas(session: Session, args: Args) -> object:
    """CLUSTER REPLICAS node-id."""
    cluster = cluster_of(session)
    primary = known_node(cluster, args[2])
    if primary.is_replica:
        raise CommandError("ERR The specified node is not a master")
    return [cluster.nodes_text([each]).rstrip("\n") for each in cluster.replicas_of(primary)]


def slots(session: Session, args: Args) -> object:
    """CLUSTER SLOTS."""
    cluster = cluster_of(session)
    kind = node_of(session).configuration["cluster-preferred-endpoint-type"]
    found: list[tuple[int, int, list[object]]] = []
    for owner in cluster.nodes():
        runs = _runs(owner.slots)
        if runs:
            readable = [each for each in cluster.replicas_of(owner) if _is_readable(cluster, each)]
            servers: list[object] = [_slot_server(each, kind) for each in (owner, *readable)]
            found += [(first, last, servers) for first, last in runs]
    return [[first, last, *servers] for first, last, servers in sorted(found, key=lambda run: run[0])]


def _is_readable(cluster: Cluster, replica: ClusterNode) -> bool:
    """Whether a replica has data: it works, and its first sync is over."""
    return not replica.is_failed and cluster.offset_of(replica) != 0


def _slot_server(node: ClusterNode, kind: str) -> list[object]:
    more: list[tuple[object, object]] = []
    if kind != "ip":
        more.append((b"ip", node.host))
    if kind != "hostname" and node.hostname:
        more.append((b"hostname", node.hostname))
    return [endpoint(node, kind), node.port, node.id, Pairs(more)]


def shards(session: Session, args: Args) -> object:
    """CLUSTER SHARDS."""
    cluster = cluster_of(session)
    kind = node_of(session).configuration["cluster-preferred-endpoint-type"]
    members: dict[ClusterNode, list[ClusterNode]] = {}
    for node in cluster.nodes():
        if not node.in_handshake:
            first = cluster.primary_of(node) or node
            group = members.setdefault(first, [])
            group.insert(0 if node is first else len(group), node)
    return [
        Pairs(
            [
                (b"slots", [edge for run in _runs(first.slots) for edge in run]),
                (b"nodes", [_shard_member(cluster, each, kind) for each in group]),
            ]
        )
        for first, group in members.items()
    ]


def _shard_member(cluster: Cluster, node: ClusterNode, kind: str) -> Pairs:
    offset = cluster.offset_of(node)
    shown = Pairs([(b"id", node.id)])
    if node.port:
        shown.append((b"port", node.port))
    if node.tls_port:
        shown.append((b"tls-port", node.tls_port))
    shown.append((b"ip", node.host))
    shown.append((b"endpoint", endpoint(node, kind) or ""))
    if node.hostname:
        shown.append((b"hostname", node.hostname))
    loads = node.is_replica and offset == 0
    shown += [
        (b"role", "replica" if node.is_replica else "master"),
        (b"replication-offset", offset),
        (b"health", "fail" if node.is_failed else "loading" if loads else "online"),
    ]
    return shown


def _runs(bits: int) -> list[tuple[int, int]]:
    """Return first and last slot of each run of a set."""
    found, base = [], 0
    while bits:
        gap = (bits & -bits).bit_length() - 1
        bits >>= gap
        length = (~bits & (bits + 1)).bit_length() - 1
        found.append((base + gap, base + gap + length - 1))
        bits >>= length
        base += gap + length
    return found


# ---- keys ----


def key_slot(session: Session, args: Args) -> object:
    """CLUSTER KEYSLOT key."""
    cluster_of(session)
    return slot_of_key(args[2])


def _check_all_are_here(session: Session) -> None:
    """Raise CommandError where keys may be missing: whoever moves a slot takes none for all moved."""
    if cluster_of(session).is_fenced:
        raise CommandError("FENCED This node waits for a leader: it may lack keys that its shard holds")


def count_keys(session: Session, args: Args) -> object:
    """CLUSTER COUNTKEYSINSLOT slot."""
    _check_all_are_here(session)
    slot = integer(args[2])
    if not 0 <= slot < SLOTS:
        raise CommandError("ERR Invalid slot")
    return count_keys_in_slot(session.engine, slot)


def get_keys(session: Session, args: Args) -> object:
    """CLUSTER GETKEYSINSLOT slot count."""
    _check_all_are_here(session)
    slot, most = integer(args[2]), integer(args[3])
    if not 0 <= slot < SLOTS or most < 0:
        raise CommandError("ERR Invalid slot or number of keys")
    return keys_in_slot(session.engine, slot, most)


def register(engine: Engine) -> None:
    """The index of the family."""
    add_container(
        engine,
        Spec("cluster", -2, "container", group="cluster", since="3.0.0", summary="The cluster of this node."),
    )
    told = ("nondeterministic_output",)
    index: tuple[tuple[str, int, str, str, Function, str, str, tuple[str, ...]], ...] = (
        ("count-failure-reports", 3, "admin stale", "3.0.0", count_failure_reports,
         "How many nodes report that a node fails.", "O(N) where N is the number of failure reports", told),
        ("countkeysinslot", 3, "stale", "3.0.0", count_keys, "How many keys a slot has here.", "O(1)", ()),
        ("getkeysinslot", 4, "stale", "3.0.0", get_keys, "Keys of a slot here.",
         "O(N) where N is the number of requested keys", told),
        ("help", 2, "loading stale", "5.0.0", help_, "How the subcommands are called.", "O(1)", ()),
        ("info", 2, "stale", "3.0.0", info, "The state of the cluster.", "O(1)", told),
        ("keyslot", 3, "stale", "3.0.0", key_slot, "The slot of a key.",
         "O(N) where N is the number of bytes in the key", ()),
        ("links", 2, "stale", "7.0.0", links, "The connections between this node and others.",
         "O(N) where N is the total number of Cluster nodes", told),
        ("myid", 2, "stale", "3.0.0", my_id, "The id of this node.", "O(1)", ()),
        ("myshardid", 2, "stale", "7.2.0", my_shard_id, "The id of this node's shard.", "O(1)", told),
        ("nodes", 2, "stale", "3.0.0", nodes, "All nodes as this one sees them.",
         "O(N) where N is the total number of Cluster nodes", told),
        ("replicas", 3, "admin stale", "5.0.0", replicas, "The replicas of a node.",
         "O(N) where N is the number of replicas.", told),
        ("shards", 2, "loading stale", "7.0.0", shards, "The shards: their slots and their nodes.",
         "O(N) where N is the total number of cluster nodes", told),
        ("slaves", 3, "admin stale", "3.0.0", replicas, "The replicas of a node.",
         "O(N) where N is the number of replicas.", told),
        ("slots", 2, "loading stale", "3.0.0", slots, "Ranges of slots and the nodes that serve them.",
         "O(N) where N is the total number of Cluster nodes", told),
    )  # fmt: skip
    for name, arity, flags, since, function, summary, complexity, tips in index:
        spec = Spec(
            f"cluster|{name}", arity, flags, group="cluster", since=since, summary=summary,
            complexity=complexity, tips=tips,
        )  # fmt: skip
        add_function(engine, spec, function)
