"""Options at run time: SENTINEL SET of a primary, CONFIG and DEBUG of the Sentinel itself.

SET takes its options one by one, and those before a bad one stay; CONFIG SET takes all
or none. How to read it: SET, CONFIG, then DEBUG.
"""

from __future__ import annotations

from holdfast.engine.glob import matches
from holdfast.engine.state import Session
from holdfast.engine.values import OK, CommandError, Pairs
from holdfast.sentinel import asking
from holdfast.sentinel.command_side import NOT_SAVED, Args, checked, primary_of, saved, side_of, text_of
from holdfast.sentinel.config_file import OF_PRIMARY, BadLine, set_option
from holdfast.sentinel.model import Primary
from holdfast.sentinel.settings import TIME_NAMES

DENIED = (
    "ERR Reconfiguration of scripts path is denied for security reasons. Check the deny-scripts-reconfig "
    "configuration directive in your Sentinel configuration"
)
CONFIG_USAGE = "ERR Only SENTINEL CONFIG GET <option> / SET <option> <value> are supported."
CONFIG_NAMES = (
    "resolve-hostnames",
    "announce-hostnames",
    "announce-ip",
    "announce-port",
    "sentinel-user",
    "sentinel-pass",
    "loglevel",
)
POSITIVE = ("down-after-milliseconds", "failover-timeout", "parallel-syncs")
NOT_NEGATIVE = ("primary-reboot-down-after-period", "forget-replicas-after")
SCRIPTS = {
    "notification-script": "Notification script seems non existing or non executable",
    "client-reconfig-script": "Client reconfiguration script seems non existing or non executable",
}


def set_(session: Session, args: Args) -> object:
    """SENTINEL SET name option value [option value ...]."""
    side = side_of(session)
    sentinel, primary = side.sentinel, primary_of(session, args[2])
    place, changes = 3, 0
    try:
        while place < len(args):
            used = _set_one(session, primary, args, place)
            shown = [text_of(each) for each in args[place : place + used]]
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
    given = text_of(args[place])
    name = given.lower()
    name = {"master-reboot-down-after-period": "primary-reboot-down-after-period"}.get(name, name)
    left = len(args) - 1 - place
    unknown = CommandError(f"ERR Unknown option or number of arguments for SENTINEL SET '{given}'")
    if left < 1:
        raise unknown
    value = text_of(args[place + 1])
    refused = CommandError(f"ERR Invalid argument '{value}' for SENTINEL SET '{given}'")
    if name == "rename-command" and left >= 2:
        new = text_of(args[place + 2])
        if not value or not new:
            raise CommandError(f"ERR Invalid argument '' for SENTINEL SET '{given}'")
        primary.options.renamed_commands.pop(value.upper(), None)
        if value.lower() != new.lower():
            primary.options.renamed_commands[value.upper()] = new
        return 3
    if name == "quorum":
        primary.options.quorum = checked(args[place + 1], 1, refused)
        return 2
    if name not in OF_PRIMARY:
        raise unknown
    if name in SCRIPTS:
        if side.sentinel.options.deny_scripts_reconfig:
            raise CommandError(DENIED)
        if value and not side.is_script(value):
            raise CommandError(f"ERR {SCRIPTS[name]}")
    if name in POSITIVE or name in NOT_NEGATIVE:
        checked(args[place + 1], 1 if name in POSITIVE else 0, refused)
    try:
        set_option(primary, name, value, side.is_script)
    except BadLine:
        raise refused from None
    if name in ("auth-pass", "auth-user"):
        for each in (primary, *primary.replicas.values()):
            asking.disconnect(side.sentinel, each.link, pubsub=False)
            asking.disconnect(side.sentinel, each.link, pubsub=True)
    return 2


def config(session: Session, args: Args) -> object:
    """SENTINEL CONFIG GET | SET."""
    if len(args) < 4:
        raise CommandError("ERR wrong number of arguments for 'sentinel|config' command")
    verb = args[2].lower()
    if verb == b"get":
        return _config_get(session, args[3:])
    if verb == b"set" and len(args) >= 5:
        return _config_set(session, [text_of(each) for each in args[3:]])
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
    return saved(session)


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
        given = text_of(args[place])
        name = given.lower().replace("-", "_")
        if name not in TIME_NAMES or place + 1 >= len(args) or "_" in given:
            raise CommandError(f"ERR Unknown option or number of arguments for SENTINEL DEBUG '{given}'")
        refused = CommandError(
            f"ERR Invalid argument '{text_of(args[place + 1])}' for SENTINEL DEBUG '{given}'"
        )
        setattr(times, name, checked(args[place + 1], 1, refused))
    return OK
