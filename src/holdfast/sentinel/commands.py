"""SENTINEL and the commands whose meaning is another one here (https://redis.io/docs/management/sentinel/).

What it is: arguments in, reply out; what a command changes leaves as effects, which have
run before the reply does. What it is not: decisions (`machine`, `failover`). PING,
SUBSCRIBE, AUTH, CLIENT and their like are the server's own.

How to read it: `register` is the index. A command finds its node as
`session.engine.node`, which is a `SentinelSide`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from holdfast.commands.spec import Spec
from holdfast.engine.glob import matches
from holdfast.engine.registry import add_container, add_function
from holdfast.engine.state import Engine, Session
from holdfast.engine.values import OK, CommandError, Pairs, Raw, Status
from holdfast.sentinel import asking, election, failover, granting, hello, listing, observation, selection
from holdfast.sentinel.address_command import address
from holdfast.sentinel.config_file import OF_PRIMARY, BadLine, is_ip, set_option
from holdfast.sentinel.machine import Machine
from holdfast.sentinel.model import Address, Instance, Primary, Sentinel
from holdfast.sentinel.scripts import ScriptQueue
from holdfast.sentinel.settings import TIME_NAMES, PrimaryOptions

Args = list[bytes]
NOT_INTEGER = "ERR value is not an integer or out of range"
DENIED = (
    "ERR Reconfiguration of scripts path is denied for security reasons. Check the deny-scripts-reconfig "
    "configuration directive in your Sentinel configuration"
)
CONFIG_USAGE = "ERR Only SENTINEL CONFIG GET <option> / SET <option> <value> are supported."
NOT_SAVED = "ERR Failed to save config file. Check server logs."
CONFIG_NAMES = (
    "resolve-hostnames",
    "announce-hostnames",
    "announce-ip",
    "announce-port",
    "sentinel-user",
    "sentinel-pass",
    "loglevel",
)
HELP = (
    "ADDRESS GRANT <name> <agent> <lease-ms> CLAIM|RENEW | RELEASE <name> <agent> | LIST",
    "    Vote for the agent that may hold a virtual address.",
    "CKQUORUM <master-name>",
    "    Tell whether quorum and majority can be reached for a failover.",
    "CONFIG SET <param> <value> [<param> <value> ...]",
    "    Set parameters of this Sentinel.",
    "CONFIG GET <param> [<param> ...]",
    "    Show parameters of this Sentinel.",
    "DEBUG [<param> <value> ...]",
    "    Show or set periods, in milliseconds.",
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


class SentinelSide(Protocol):
    """What the commands need of their node."""

    sentinel: Sentinel
    machine: Machine
    scripts: ScriptQueue
    is_durable: bool
    """False: the file could not be written, so no vote of ours may be given."""

    def now_ms(self) -> int:
        """Return the time."""
        ...

    def run_effects(self) -> None:
        """Run what waits."""
        ...

    def is_script(self, path: str) -> bool:
        """Tell whether a file may be run."""
        ...

    def set_log_level(self, level: str) -> None:
        """Follow SENTINEL CONFIG SET loglevel."""
        ...

    def log_level(self) -> str:
        """Return the log level."""
        ...


def side_of(session: Session) -> SentinelSide:
    """Return the node of a session."""
    side: SentinelSide = session.engine.node
    return side


def _text(word: bytes) -> str:
    return word.decode("utf-8", "surrogateescape")


def _integer(word: bytes, error: str = NOT_INTEGER) -> int:
    text = _text(word)
    digits = text[1:] if text.startswith("-") else text
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 19):
        raise CommandError(error)
    return int(text)


def _primary(session: Session, word: bytes) -> Primary:
    primary = side_of(session).sentinel.primaries.get(_text(word))
    if primary is None:
        raise CommandError("ERR No such master with that name")
    return primary


def _saved(session: Session) -> object:
    side = side_of(session)
    side.sentinel.persist()
    side.run_effects()
    if not side.is_durable:
        raise CommandError(NOT_SAVED)
    return OK


# ---- questions ----


def _described(session: Session, instances: list[Instance]) -> object:
    side = side_of(session)
    now_ms = side.now_ms()
    return [Pairs(listing.describe(side.sentinel, each, now_ms)) for each in instances]


def masters(session: Session, args: Args) -> object:
    """SENTINEL MASTERS."""
    return _described(session, list(side_of(session).sentinel.primaries.values()))


def master(session: Session, args: Args) -> object:
    """SENTINEL MASTER name."""
    side = side_of(session)
    return Pairs(listing.describe(side.sentinel, _primary(session, args[2]), side.now_ms()))


def replicas(session: Session, args: Args) -> object:
    """SENTINEL REPLICAS name."""
    return _described(
        session, [each for each in _primary(session, args[2]).replicas.values() if each.is_announced]
    )


def sentinels(session: Session, args: Args) -> object:
    """SENTINEL SENTINELS name."""
    return _described(session, list(_primary(session, args[2]).sentinels.values()))


def get_master_addr(session: Session, args: Args) -> object:
    """SENTINEL GET-MASTER-ADDR-BY-NAME name."""
    sentinel = side_of(session).sentinel
    primary = sentinel.primaries.get(_text(args[2]))
    if primary is None:
        return Raw(b"*-1\r\n" if session.resp == 2 else b"_\r\n")
    address = primary.current_address
    return [sentinel.shown(address), str(address.port)]


def myid(session: Session, args: Args) -> object:
    """SENTINEL MYID."""
    return side_of(session).sentinel.my_id


def holdfast(session: Session, args: Args) -> object:
    """SENTINEL HOLDFAST: how Sentinels of ours know one another."""
    return OK


def ckquorum(session: Session, args: Args) -> object:
    """SENTINEL CKQUORUM name."""
    primary = _primary(session, args[2])
    usable = 1 + sum(not each.is_sdown for each in primary.sentinels.values())
    sentinel_id = side_of(session).sentinel.my_id
    problems = []
    if usable < primary.options.quorum:
        problems.append("Not enough available Sentinels to reach the specified quorum for this master")
    counted = granting.counted(primary)
    present = sum(name in counted and not each.is_sdown for name, each in primary.sentinels.items())
    if present + (sentinel_id in counted) < len(counted) // 2 + 1:
        problems.append("Not enough available Sentinels to reach the majority and authorize a failover")
    if problems:
        raise CommandError(f"NOQUORUM {usable} usable Sentinels. " + ". ".join(problems))
    return Status(f"OK {usable} usable Sentinels. Quorum and failover authorization can be reached")


def voters(session: Session, args: Args) -> object:
    """SENTINEL VOTERS name [REMOVE id]: the numbered list of voters; our wish that one leaves it."""
    primary = _primary(session, args[2])
    if len(args) == 5 and args[3].lower() == b"remove":
        name = _text(args[4])
        if name not in primary.voter_list.ids:
            raise CommandError("ERR No such voter")
        primary.unwanted_voters |= {name}
    elif len(args) != 3:
        raise CommandError("ERR wrong number of arguments for 'sentinel|voters' command")
    listed = primary.voter_list
    return [listed.epoch, listed.step, sorted(listed.ids)]


def info_cache(session: Session, args: Args) -> object:
    """SENTINEL INFO-CACHE name ..."""
    side = side_of(session)
    now_ms, reply = side.now_ms(), []
    for name in dict.fromkeys(_text(each) for each in args[2:]):
        primary = side.sentinel.primaries.get(name)
        if primary is not None:
            reply += [
                name,
                [
                    [now_ms - each.info_ms if each.info_ms is not None else 0, each.info_text or None]
                    for each in (primary, *primary.replicas.values())
                ],
            ]
    return reply


def pending_scripts(session: Session, args: Args) -> object:
    """SENTINEL PENDING-SCRIPTS."""
    side = side_of(session)
    now_ms = side.now_ms()
    return [
        Pairs(
            [
                ("argv", list(job.words)),
                ("flags", "running" if job.is_running else "scheduled"),
                ("pid", str(job.pid)),
                ("run-time", str(now_ms - job.start_ms))
                if job.is_running
                else ("run-delay", str(max(0, job.start_ms - now_ms) if job.start_ms else 0)),
                ("retry-num", str(job.tries)),
            ]
        )
        for job in side.scripts.jobs
    ]


# ---- between Sentinels ----


def is_master_down(session: Session, args: Args) -> object:
    """SENTINEL IS-MASTER-DOWN-BY-ADDR ip port epoch runid: our opinion, and our vote if asked for."""
    side = side_of(session)
    sentinel, now_ms = side.sentinel, side.now_ms()
    port, epoch = _integer(args[3]), _integer(args[4])
    host, candidate = _text(args[2]), _text(args[5])
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
    side = side_of(session)
    side.machine.hello(_text(args[2]), side.now_ms())
    side.run_effects()
    return 1


# ---- changes ----


def failover_(session: Session, args: Args) -> object:
    """SENTINEL FAILOVER name [FORCE]."""
    side = side_of(session)
    sentinel, now_ms = side.sentinel, side.now_ms()
    primary = _primary(session, args[2])
    force = len(args) == 4
    if len(args) > 4 or (force and args[3].lower() != b"force"):
        raise CommandError("ERR wrong number of arguments for 'sentinel|failover' command")
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
    quorum, port = _integer(args[5], "ERR Invalid quorum"), _integer(args[4], "ERR Invalid port")
    name, host = _text(args[2]), _text(args[3])
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
    reply = _saved(session)
    sentinel.tell("+monitor", primary, f"quorum {quorum}")
    side.machine.look(side.now_ms())
    side.run_effects()
    return reply


def remove(session: Session, args: Args) -> object:
    """SENTINEL REMOVE name."""
    sentinel, primary = side_of(session).sentinel, _primary(session, args[2])
    sentinel.tell("-monitor", primary)
    granting.end(sentinel, primary)
    side_of(session).run_effects()
    for each in (*primary.replicas.values(), *primary.sentinels.values(), primary):
        observation.drop(sentinel, each)
    del sentinel.primaries[primary.name]
    return _saved(session)


def flushconfig(session: Session, args: Args) -> object:
    """SENTINEL FLUSHCONFIG."""
    return _saved(session)


POSITIVE = ("down-after-milliseconds", "failover-timeout", "parallel-syncs")
NOT_NEGATIVE = ("primary-reboot-down-after-period", "forget-replicas-after")
SCRIPTS = {
    "notification-script": "Notification script seems non existing or non executable",
    "client-reconfig-script": "Client reconfiguration script seems non existing or non executable",
}


def set_(session: Session, args: Args) -> object:
    """SENTINEL SET name option value [option value ...]."""
    side = side_of(session)
    sentinel, primary = side.sentinel, _primary(session, args[2])
    place, changes = 3, 0
    try:
        while place < len(args):
            used = _set_one(session, primary, args, place)
            shown = [_text(each) for each in args[place : place + used]]
            if shown[0].lower() == "auth-pass":
                shown[1] = "******"
            sentinel.tell("+set", primary, " ".join(shown))
            place += used
            changes += 1
    finally:
        if changes:
            sentinel.persist()
            side.run_effects()
    if not side.is_durable:
        raise CommandError(NOT_SAVED)
    return OK


def _set_one(session: Session, primary: Primary, args: Args, place: int) -> int:
    """Set one option; return how many words it took."""
    side = side_of(session)
    given = _text(args[place])
    name = given.lower()
    name = {"master-reboot-down-after-period": "primary-reboot-down-after-period"}.get(name, name)
    left = len(args) - 1 - place
    unknown = CommandError(f"ERR Unknown option or number of arguments for SENTINEL SET '{given}'")
    if left < 1:
        raise unknown
    value = _text(args[place + 1])
    refused = CommandError(f"ERR Invalid argument '{value}' for SENTINEL SET '{given}'")
    if name == "rename-command" and left >= 2:
        new = _text(args[place + 2])
        if not value or not new:
            raise refused
        primary.options.renamed_commands.pop(value.upper(), None)
        if value.lower() != new.lower():
            primary.options.renamed_commands[value.upper()] = new
        return 3
    if name == "quorum":
        primary.options.quorum = _checked(args[place + 1], 1, refused)
        return 2
    if name not in OF_PRIMARY:
        raise unknown
    if name in SCRIPTS:
        if side.sentinel.options.deny_scripts_reconfig:
            raise CommandError(DENIED)
        if value and not side.is_script(value):
            raise CommandError(f"ERR {SCRIPTS[name]}")
    if name in POSITIVE or name in NOT_NEGATIVE:
        _checked(args[place + 1], 1 if name in POSITIVE else 0, refused)
    try:
        set_option(primary, name, value, side.is_script)
    except BadLine:
        raise refused from None
    if name in ("auth-pass", "auth-user"):
        for each in (primary, *primary.replicas.values()):
            asking.disconnect(side.sentinel, each.link, pubsub=False)
            asking.disconnect(side.sentinel, each.link, pubsub=True)
    return 2


def _checked(word: bytes, least: int, refused: CommandError) -> int:
    try:
        value = _integer(word)
    except CommandError:
        raise refused from None
    if value < least:
        raise refused
    return value


def config(session: Session, args: Args) -> object:
    """SENTINEL CONFIG GET | SET."""
    if len(args) < 4:
        raise CommandError("ERR wrong number of arguments for 'sentinel|config' command")
    verb = args[2].lower()
    if verb == b"get":
        return _config_get(session, args[3:])
    if verb == b"set" and len(args) >= 5:
        return _config_set(session, [_text(each) for each in args[3:]])
    raise CommandError(CONFIG_USAGE)


def _config_get(session: Session, patterns: Args) -> object:
    side = side_of(session)
    options = side.sentinel.options
    values = {
        "resolve-hostnames": "yes" if options.resolve_hostnames else "no",
        "announce-hostnames": "yes" if options.announce_hostnames else "no",
        "announce-ip": options.announce_ip,
        "announce-port": str(options.announce_port),
        "sentinel-user": options.sentinel_user,
        "sentinel-pass": options.sentinel_pass,
        "loglevel": side.log_level(),
    }
    return Pairs(
        [
            (name, values[name])
            for name in CONFIG_NAMES
            if any(matches(each.lower(), name.encode()) for each in patterns)
        ]
    )


def _config_set(session: Session, words: list[str]) -> object:
    side = side_of(session)
    options, seen = side.sentinel.options, set()
    pairs: list[tuple[str, str]] = []
    place = 0
    while place < len(words):
        given = words[place]
        name = given.lower()
        if name not in CONFIG_NAMES:
            raise CommandError(f"ERR Invalid argument '{given}' to SENTINEL CONFIG SET")
        if name in seen:
            raise CommandError(f"ERR Duplicate argument '{given}' to SENTINEL CONFIG SET")
        seen.add(name)
        if place + 1 == len(words):
            raise CommandError(f"ERR Missing argument '{given}' value")
        value = words[place + 1]
        if not _config_value_is_good(name, value):
            raise CommandError(f"ERR Invalid value '{value}' to SENTINEL CONFIG SET '{given}'")
        pairs.append((name, value))
        place += 2
    for name, value in pairs:
        if name == "loglevel":
            side.set_log_level(value.lower())
        elif name in ("resolve-hostnames", "announce-hostnames"):
            setattr(options, name.replace("-", "_"), value.lower() == "yes")
        elif name == "announce-port":
            options.announce_port = int(value)
        else:
            setattr(options, name.replace("-", "_"), value)
    if seen & {"sentinel-user", "sentinel-pass"}:
        for primary in side.sentinel.primaries.values():
            for each in primary.sentinels.values():
                asking.disconnect(side.sentinel, each.link, pubsub=False)
    return _saved(session)


def _config_value_is_good(name: str, value: str) -> bool:
    if name in ("resolve-hostnames", "announce-hostnames"):
        return value.lower() in ("yes", "no")
    if name == "announce-port":
        return value.isascii() and value.isdecimal() and len(value) < 6 and int(value) < 65536
    if name == "loglevel":
        return value.lower() in ("debug", "verbose", "notice", "warning", "nothing")
    return True


def debug(session: Session, args: Args) -> object:
    """SENTINEL DEBUG [option value ...]."""
    times = side_of(session).sentinel.times
    if len(args) == 2:
        return Pairs([(name.upper().replace("_", "-"), str(getattr(times, name))) for name in TIME_NAMES])
    for place in range(2, len(args), 2):
        given = _text(args[place])
        name = given.lower().replace("-", "_")
        if name not in TIME_NAMES or place + 1 >= len(args) or "_" in given:
            raise CommandError(f"ERR Unknown option or number of arguments for SENTINEL DEBUG '{given}'")
        refused = CommandError(
            f"ERR Invalid argument '{_text(args[place + 1])}' for SENTINEL DEBUG '{given}'"
        )
        setattr(times, name, _checked(args[place + 1], 1, refused))
    return OK


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
