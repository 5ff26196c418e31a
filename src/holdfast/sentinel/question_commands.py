"""Commands that ask a Sentinel what it knows; none changes anything but VOTERS REMOVE.

What a reply tells of an instance is in `listing`.
"""

from __future__ import annotations

from holdfast.engine.state import Session
from holdfast.engine.values import CommandError, Pairs, Raw, Status
from holdfast.sentinel import granting, listing
from holdfast.sentinel.command_side import Args, primary_of, side_of, text_of
from holdfast.sentinel.model import Instance


def masters(session: Session, args: Args) -> object:
    """SENTINEL MASTERS."""
    return _described(session, list(side_of(session).sentinel.primaries.values()))


def master(session: Session, args: Args) -> object:
    """SENTINEL MASTER name."""
    side = side_of(session)
    return Pairs(listing.describe(side.sentinel, primary_of(session, args[2]), side.now_ms()))


def replicas(session: Session, args: Args) -> object:
    """SENTINEL REPLICAS name."""
    return _described(
        session, [each for each in primary_of(session, args[2]).replicas.values() if each.is_announced]
    )


def sentinels(session: Session, args: Args) -> object:
    """SENTINEL SENTINELS name."""
    return _described(session, list(primary_of(session, args[2]).sentinels.values()))


def _described(session: Session, instances: list[Instance]) -> object:
    side = side_of(session)
    now_ms = side.now_ms()
    return [Pairs(listing.describe(side.sentinel, each, now_ms)) for each in instances]


def get_master_addr(session: Session, args: Args) -> object:
    """SENTINEL GET-MASTER-ADDR-BY-NAME name."""
    sentinel = side_of(session).sentinel
    primary = sentinel.primaries.get(text_of(args[2]))
    if primary is None:
        return Raw(b"*-1\r\n" if session.resp == 2 else b"_\r\n")
    address = primary.current_address
    return [sentinel.shown(address), str(address.port)]


def myid(session: Session, args: Args) -> object:
    """SENTINEL MYID."""
    return side_of(session).sentinel.my_id


def ckquorum(session: Session, args: Args) -> object:
    """SENTINEL CKQUORUM name."""
    primary = primary_of(session, args[2])
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
    primary = primary_of(session, args[2])
    if len(args) == 5 and args[3].lower() == b"remove":
        name = text_of(args[4])
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
    for name in dict.fromkeys(text_of(each) for each in args[2:]):
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
