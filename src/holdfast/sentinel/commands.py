"""SENTINEL and the commands whose meaning is another one here (https://redis.io/docs/management/sentinel/).

What it is: arguments in, reply out; what a command changes leaves as effects, which have
run before the reply does. Here are those that act and those between Sentinels; questions
are in `question_commands`, options in `option_commands`. What it is not: decisions
(`machine`, `failover`). PING, SUBSCRIBE, AUTH, CLIENT and their like are the server's own.

How to read it: `register` is the index. A command finds its node as
`session.engine.node`, which is a `SentinelSide`.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.commands.spec import Spec
from holdfast.engine.glob import matches
from holdfast.engine.registry import add_container, add_function
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import OK, CommandError, Status
from holdfast.sentinel import election, failover, granting, hello, observation, selection
from holdfast.sentinel.address_command import address
from holdfast.sentinel.command_side import Args, heard_by, integer_of, primary_of, saved, side_of, text_of
from holdfast.sentinel.config_file import is_ip
from holdfast.sentinel.model import Address
from holdfast.sentinel.option_commands import config, debug, set_
from holdfast.sentinel.question_commands import (
    ckquorum,
    get_master_addr,
    info_cache,
    master,
    masters,
    myid,
    pending_scripts,
    replicas,
    sentinels,
    voters,
)
from holdfast.sentinel.settings import PrimaryOptions

HELP = (
    "ADDRESS GRANT <name> <agent> <lease-ms> CLAIM|RENEW [<late-ms>] | RELEASE <name> <agent> | LIST",
    "    Vote for the agent that may hold a virtual address.",
    "CKQUORUM <master-name>",
    "    Tell whether quorum and majority can be reached for a failover.",
    "CONFIG SET <param> <value> [<param> <value> ...]",
    "    Set parameters of this Sentinel.",
    "CONFIG GET <param> [<param> ...]",
    "    Show parameters of this Sentinel.",
    "DEBUG [<param> <value> ...]",
    "    Show or set periods, in milliseconds.",
    "EXITED <master-name> <run-id>",
    "    Take the word of who started it that the process with this run id has ended.",
    "FAILOVER <master-name> [FORCE]",
    "    Hand the primary's role to a replica: planned, without a loss; with FORCE at once.",
    "FLUSHCONFIG",
    "    Write the configuration file again.",
    "GET-MASTER-ADDR-BY-NAME <master-name>",
    "    Tell where the primary is.",
    "INFO-CACHE <master-name> [<master-name> ...]",
    "    Show the latest INFO of primaries and their replicas.",
    "IS-MASTER-DOWN-BY-ADDR <ip> <port> <current-epoch> <runid>",
    "    Tell whether a primary is down in our eyes; with a run id, ask for our vote.",
    "MASTER <master-name>",
    "    Describe a primary.",
    "MASTERS",
    "    Describe all primaries.",
    "MONITOR <name> <ip> <port> <quorum>",
    "    Begin to watch a primary.",
    "MYID",
    "    Tell the id of this Sentinel.",
    "PENDING-SCRIPTS",
    "    Show the scripts that wait or run.",
    "REMOVE <master-name>",
    "    Watch a primary no more.",
    "REPLICAS <master-name>",
    "    Describe the replicas of a primary.",
    "RESET <pattern>",
    "    Forget replicas and Sentinels of the primaries whose names match.",
    "SENTINELS <master-name>",
    "    Describe the other Sentinels of a primary.",
    "SET <master-name> <option> <value> [<option> <value> ...]",
    "    Set options of a primary.",
    "VOTERS <master-name> [REMOVE <sentinel-id>]",
    "    Show who grants the lease and votes; with REMOVE on a majority, take a dead one out.",
    "SIMULATE-FAILURE [CRASH-AFTER-ELECTION] [CRASH-AFTER-PROMOTION] [HELP]",
    "    End this Sentinel at the given point of its next failover.",
)


def holdfast(session: Session, args: Args) -> object:
    """SENTINEL HOLDFAST: how Sentinels of ours know one another."""
    return OK


# ---- between Sentinels ----


def is_master_down(session: Session, args: Args) -> object:
    """SENTINEL IS-MASTER-DOWN-BY-ADDR ip port epoch runid: our opinion, and our vote if asked for."""
    side = side_of(session)
    sentinel, now_ms = side.sentinel, side.now_ms()
    port, epoch = integer_of(args[3]), integer_of(args[4])
    host, candidate = text_of(args[2]), text_of(args[5])
    primary = next((each for each in sentinel.primaries.values() if each.address.is_at(host, port)), None)
    if primary is None:
        return [0, "*", 0]
    leader, leader_epoch = "", 0
    if candidate != "*":
        leader, leader_epoch = election.vote(sentinel, primary, epoch, candidate, now_ms)
        if not side.is_durable:
            sentinel.persist()
        side.run_effects()
        if not side.is_durable:
            leader, leader_epoch = "", 0
    is_down = primary.is_sdown and sentinel.tilt_since_ms is None
    reply: list[object] = [int(is_down), leader or "*", leader_epoch]
    asker = primary.sentinels.get(candidate)
    if leader and asker is not None and asker.is_ours:  # stock Sentinels take three words, no more
        number = primary.voter_list.number
        reply += [granting.left_ms(primary, now_ms), *number]
    return reply


def publish(session: Session, args: Args) -> object:
    """PUBLISH __sentinel__:hello message."""
    if args[1] != hello.CHANNEL.encode():
        raise CommandError("ERR Only HELLO messages are accepted by Sentinel instances.")
    side = heard_by(session)
    side.machine.hello(text_of(args[2]), side.now_ms())
    side.run_effects()
    return 1


# ---- changes ----


def failover_(session: Session, args: Args) -> object:
    """SENTINEL FAILOVER name [FORCE]."""
    side = side_of(session)
    sentinel, now_ms = side.sentinel, side.now_ms()
    force = len(args) == 4
    if len(args) > 4 or (force and args[3].lower() != b"force"):
        raise CommandError("ERR wrong number of arguments for 'sentinel|failover' command")
    primary = primary_of(session, args[2])
    if primary.in_failover:
        raise CommandError("INPROG Failover already in progress")
    if selection.best_replica(primary, sentinel.times, now_ms) is None:
        raise CommandError("NOGOODSLAVE No suitable replica to promote")
    sentinel.log(f"Executing user requested FAILOVER of '{primary.name}'")
    failover.start(sentinel, primary, now_ms)
    primary.is_forced = True
    primary.must_change = primary.fence_epoch > 0 or granting.applies(primary)
    can_hand_over = primary.link.is_up and not primary.is_sdown and not primary.must_change
    primary.is_planned = can_hand_over and not force
    side.machine.look(now_ms)
    side.run_effects()
    return OK


def exited(session: Session, args: Args) -> object:
    """SENTINEL EXITED name run-id: the parent of that process, or who holds its pidfd, saw its end."""
    side = side_of(session)
    primary, now_ms = primary_of(session, args[2]), side.now_ms()
    if not primary.run_id or text_of(args[3]) != primary.run_id:
        return 0
    primary.exited_run_id, primary.exited_ms = primary.run_id, now_ms
    side.sentinel.log(f"The process of {primary.name} with run id {primary.run_id} has ended, as is reported")
    side.machine.look(now_ms)
    side.run_effects()
    return 1


def reset(session: Session, args: Args) -> object:
    """SENTINEL RESET pattern."""
    side = side_of(session)
    chosen = [
        each
        for each in side.sentinel.primaries.values()
        if matches(args[2], each.name.encode("utf-8", "surrogateescape"))
    ]
    for primary in chosen:
        observation.reset(side.sentinel, primary, side.now_ms())
    side.run_effects()
    return len(chosen)


def monitor(session: Session, args: Args) -> object:
    """SENTINEL MONITOR name ip port quorum."""
    side = side_of(session)
    sentinel = side.sentinel
    quorum, port = integer_of(args[5], "ERR Invalid quorum"), integer_of(args[4], "ERR Invalid port")
    name, host = text_of(args[2]), text_of(args[3])
    if quorum <= 0:
        raise CommandError("ERR Quorum must be 1 or greater.")
    if not host or (not sentinel.options.resolve_hostnames and not is_ip(host)):
        raise CommandError("ERR Invalid IP address or hostname specified")
    if not 0 <= port <= 65535:
        raise CommandError("ERR Invalid port number.")
    if name in sentinel.primaries:
        raise CommandError("ERR Duplicate master name.")
    options = PrimaryOptions(
        quorum,
        down_after_ms=sentinel.times.default_down_after,
        failover_timeout_ms=sentinel.times.default_failover_timeout,
    )
    primary = sentinel.add_primary(
        name, Address(host, port, host if is_ip(host) else ""), options, side.now_ms()
    )
    reply = saved(session)
    sentinel.tell("+monitor", primary, f"quorum {quorum}")
    side.machine.look(side.now_ms())
    side.run_effects()
    return reply


def remove(session: Session, args: Args) -> object:
    """SENTINEL REMOVE name."""
    sentinel, primary = side_of(session).sentinel, primary_of(session, args[2])
    sentinel.tell("-monitor", primary)
    granting.end(sentinel, primary)
    side_of(session).run_effects()
    for each in (*primary.replicas.values(), *primary.sentinels.values(), primary):
        observation.drop(sentinel, each)
    del sentinel.primaries[primary.name]
    return saved(session)


def flushconfig(session: Session, args: Args) -> object:
    """SENTINEL FLUSHCONFIG."""
    return saved(session)


def simulate_failure(session: Session, args: Args) -> object:
    """SENTINEL SIMULATE-FAILURE [CRASH-AFTER-ELECTION] [CRASH-AFTER-PROMOTION]."""
    sentinel = side_of(session).sentinel
    sentinel.crash_after_election = sentinel.crash_after_promotion = False
    for each in args[2:]:
        match each.lower():
            case b"crash-after-election":
                sentinel.crash_after_election = True
            case b"crash-after-promotion":
                sentinel.crash_after_promotion = True
            case b"help":
                return ["crash-after-election", "crash-after-promotion"]
            case _:
                raise CommandError("ERR Unknown failure simulation specified")
    return OK


def help_(session: Session, args: Args) -> object:
    """SENTINEL HELP."""
    head = "SENTINEL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    return [Status(each) for each in (head, *HELP, "HELP", "    Print this help.")]


def role(session: Session, args: Args) -> object:
    """ROLE."""
    return ["sentinel", list(side_of(session).sentinel.primaries)]


Function = Callable[[Session, Args], object]

INDEX: tuple[tuple[str, int, Function, str], ...] = (
    ("address", -3, address, "Vote for the agent that may hold a virtual address."),
    ("ckquorum", 3, ckquorum, "Tell whether a failover could be authorized."),
    ("config", -3, config, "Show or set parameters of this Sentinel."),
    ("debug", -2, debug, "Show or set periods."),
    ("exited", 4, exited, "Take the word that the process of a primary has ended."),
    ("failover", -3, failover_, "Hand the primary's role to a replica."),
    ("flushconfig", 2, flushconfig, "Write the configuration file again."),
    ("get-master-addr-by-name", 3, get_master_addr, "Tell where a primary is."),
    ("holdfast", 2, holdfast, "Tell that this Sentinel is one of Holdfast."),
    ("info-cache", -3, info_cache, "Show the latest INFO of primaries and replicas."),
    ("is-master-down-by-addr", 6, is_master_down, "Tell our opinion of a primary, and vote."),
    ("master", 3, master, "Describe a primary."),
    ("masters", 2, masters, "Describe all primaries."),
    ("monitor", 6, monitor, "Begin to watch a primary."),
    ("myid", 2, myid, "Tell the id of this Sentinel."),
    ("pending-scripts", 2, pending_scripts, "Show scripts that wait or run."),
    ("remove", 3, remove, "Watch a primary no more."),
    ("replicas", 3, replicas, "Describe the replicas of a primary."),
    ("reset", 3, reset, "Forget the replicas and Sentinels of primaries."),
    ("sentinels", 3, sentinels, "Describe the other Sentinels of a primary."),
    ("set", -5, set_, "Set options of a primary."),
    ("simulate-failure", -3, simulate_failure, "End this Sentinel during its next failover."),
    ("slaves", 3, replicas, "Describe the replicas of a primary."),
    ("voters", -3, voters, "Show the numbered list of voters, or wish one out of it."),
)


def register(engine: Engine) -> None:
    """The index of the family."""
    add_container(
        engine,
        Spec("sentinel", -2, "admin only_sentinel container", group="sentinel", since="2.8.4",
             summary="Commands of Sentinel.", complexity="Depends on subcommand."),
    )  # fmt: skip
    for name, arity, function, summary in INDEX:
        spec = Spec(
            f"sentinel|{name}", arity, "admin only_sentinel", group="sentinel", since="2.8.4",
            summary=summary, complexity="O(1)",
        )  # fmt: skip
        add_function(engine, spec, function)
    add_function(
        engine,
        Spec("sentinel|help", 2, "loading stale only_sentinel", group="sentinel", since="6.2.0",
             summary="How the subcommands are called.", complexity="O(1)"),
        help_,
    )  # fmt: skip
    add_function(
        engine,
        Spec("publish", 3, "pubsub loading stale fast", group="pubsub", since="2.0.0",
             summary="Take a hello of another Sentinel.", complexity="O(1)"),
        publish,
    )  # fmt: skip
    add_function(
        engine,
        Spec("role", 1, "noscript loading stale fast", group="server", since="2.8.12",
             summary="Tell that this is a Sentinel, and of what.", complexity="O(1)",
             categories="admin dangerous"),
        role,
    )  # fmt: skip
