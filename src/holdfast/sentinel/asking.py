"""What a Sentinel sends by the clock: PING, INFO, hello, and questions to other Sentinels.

What it is: the periods of Redis, shorter ones while a decision waits for an answer, and
what a PING's reply means. What it is not: the meaning of INFO and hello (`observation`).

Signs of life. The answer to a grant comes from the same loop over the same connection, so a node that
answers grants needs no PING, and an unanswered grant is an unanswered PING (`grant_answered`). That is
so only while the node says with its answers that it would answer a PING with PONG: one that loads, fails
writes or is held by a script, or answers with an error, is asked by PING as any other. A Sentinel's
answer to our hello puts off the next PING. INFO and PUBLISH of a node prove less: stock nodes answer
them where a PING would tell of an error.

How to read it: `connect` and `periodic` are called at every look at an instance;
`ask_others` collects opinions and votes.
"""

from __future__ import annotations

from holdfast.sentinel import down
from holdfast.sentinel.effects import Connect, Disconnect
from holdfast.sentinel.hello import CHANNEL, Hello
from holdfast.sentinel.model import (
    Failover,
    Instance,
    Link,
    LinkState,
    Primary,
    Role,
    Sentinel,
    VoterList,
)
from holdfast.sentinel.reply_reader import Reply, ReplyError, ReplyStatus
from holdfast.sentinel.settings import BEAT_MS, PLANNED_POLL_MS, PROMPT_ASK_MS, RECONNECT_MS

PENDING_MAX = 100
FIRST_REPLICAS_MS = 1000
"""A primary without known replicas is asked so often: who dies before they are known cannot be replaced."""
PINGS_A_DOWN_AFTER = 5
"""So that the first unanswered PING is sent soon after a primary hangs."""
PINGS_OF_OTHERS = 2
"""So often a replica or a Sentinel is asked in a down-after while there is no doubt about its primary."""
UNWELL = 4
"""In what a node says of itself with a grant's answer: it loads, fails writes or is busy, as a PING tells."""
GOOD_ANSWERS = ("PONG", "LOADING", "MASTERDOWN")


def connect(sentinel: Sentinel, instance: Instance, now_ms: int) -> None:
    """Open what is closed, not too often."""
    link = instance.link
    if not link.address.port:
        return
    if link.command is LinkState.DOWN and now_ms - link.command_tried_ms >= RECONNECT_MS:
        link.command, link.command_tried_ms = LinkState.CONNECTING, now_ms
        sentinel.do(Connect(link, pubsub=False))
    if link.has_pubsub and link.pubsub is LinkState.DOWN and now_ms - link.pubsub_tried_ms >= RECONNECT_MS:
        link.pubsub, link.pubsub_tried_ms = LinkState.CONNECTING, now_ms
        sentinel.do(Connect(link, pubsub=True))


def disconnect(sentinel: Sentinel, link: Link, pubsub: bool) -> None:
    """Close one connection; the next look opens it again."""
    if pubsub and link.pubsub is not LinkState.DOWN:
        link.pubsub, link.pubsub_tried_ms = LinkState.DOWN, -(10**9)
        sentinel.do(Disconnect(link, pubsub=True))
    if not pubsub and link.command is not LinkState.DOWN:
        link.command, link.pending_commands, link.command_tried_ms = LinkState.DOWN, 0, -(10**9)
        sentinel.do(Disconnect(link, pubsub=False))


def credentials(sentinel: Sentinel, instance: Instance) -> tuple[str, ...]:
    """Return the AUTH command for a node, () where none is needed."""
    if instance.role is Role.SENTINEL:
        options = sentinel.options
        user = options.sentinel_user if options.sentinel_pass else ""
        password = options.sentinel_pass or options.own_pass
    else:
        user, password = instance.group.options.auth_user, instance.group.options.auth_pass
    if not password:
        return ()
    return sentinel.renamed(instance, ("AUTH", user, password) if user else ("AUTH", password))


def greeting(sentinel: Sentinel, instance: Instance, pubsub: bool) -> list[tuple[str, ...]]:
    """Return what is said first on a fresh connection."""
    kind = "pubsub" if pubsub else "cmd"
    words: list[tuple[str, ...]] = [("CLIENT", "SETNAME", f"sentinel-{sentinel.my_id[:8]}-{kind}")]
    if pubsub:
        words.append(("SUBSCRIBE", CHANNEL))
    auth = credentials(sentinel, instance)
    return [*([auth] if auth else []), *(sentinel.renamed(instance, each) for each in words)]


def periodic(sentinel: Sentinel, instance: Instance, now_ms: int) -> None:
    """Send what is due."""
    link = instance.link
    if not link.is_up or link.pending_commands >= PENDING_MAX * link.owners:
        return
    if instance.role is not Role.SENTINEL and now_ms >= info_due_ms(sentinel, instance):
        ask_info(sentinel, instance, now_ms)
    period_ms = ping_period_ms(sentinel, instance, now_ms)
    if now_ms - link.answered_ms > period_ms and now_ms - link.ping_sent_ms > period_ms // 2:
        ping(sentinel, instance, now_ms)
    has_told = instance.info_ms is not None and instance.info_ms >= link.connected_ms
    if instance.role is not Role.SENTINEL and not has_told:
        return  # not before it has said what it is
    if now_ms - instance.published_ms > sentinel.times.publish_period and not holds_writes(instance):
        publish(sentinel, instance, now_ms)


def ping_period_ms(sentinel: Sentinel, instance: Instance, now_ms: int) -> int:
    """Return for how long a node may give no sign of life before it is asked for one."""
    primary = instance.group
    is_urgent = instance is primary or sentinel.tilt_since_ms is not None or down.is_doubted(primary, now_ms)
    share_ms = primary.options.down_after_ms // (PINGS_A_DOWN_AFTER if is_urgent else PINGS_OF_OTHERS)
    return min(max(share_ms, BEAT_MS), sentinel.times.ping_period)


def info_due_ms(sentinel: Sentinel, instance: Instance) -> int:
    """Return when INFO is to be asked for; one that is owed is waited for as long as a PING's period."""
    asked = instance.info_sent_ms
    answered = instance.info_ms if instance.info_ms is not None else -(10**9)
    due_ms = max(answered, asked) + info_period_ms(sentinel, instance)
    return max(due_ms, asked + sentinel.times.ping_period) if asked > answered else due_ms


def holds_writes(instance: Instance) -> bool:
    """Tell whether we have paused a node's writes: PUBLISH would wait, and all behind it, a fence too."""
    group = instance.group
    settles = group.takeover is not None and group.takeover.settles_until_ms > 0
    return instance is group and (group.hand_over_sent or group.hand_over is not None or settles)


def info_period_ms(sentinel: Sentinel, instance: Instance) -> int:
    """Return how often INFO is asked of a node at present."""
    primary = instance.group
    if primary.in_failover and primary.hand_over_sent:
        return PLANNED_POLL_MS
    is_orphaned = primary.orphan_since_ms is not None
    if instance.role is Role.REPLICA:
        if primary.is_odown or primary.in_failover or primary.is_unsure or is_orphaned:
            return PROMPT_ASK_MS
        if instance.led_before and instance.role_reported is Role.PRIMARY:
            return PROMPT_ASK_MS
        if instance.link_down_ms:
            return 1000
    elif instance.fails_writes_since_ms is not None:
        return min(sentinel.times.info_period, 1000)
    elif primary.is_planned or is_orphaned or instance.standing in ("candidate", "fenced"):
        return PROMPT_ASK_MS
    elif not primary.replicas:
        return FIRST_REPLICAS_MS
    return sentinel.times.info_period


def ask_info(sentinel: Sentinel, instance: Instance, now_ms: int) -> None:
    """Ask for INFO now."""

    def answered(reply: Reply, at_ms: int) -> None:
        if isinstance(reply, str) and not isinstance(reply, (ReplyError, ReplyStatus)):
            sentinel.on_info(instance, reply, at_ms)

    if instance.link.is_up:
        instance.info_sent_ms = now_ms
        sentinel.send(instance, "INFO", on_reply=answered)


def ping(sentinel: Sentinel, instance: Instance, now_ms: int) -> None:
    """Ask whether a node lives."""
    link = instance.link

    def answered(reply: Reply, at_ms: int) -> None:
        link.proved_ms = now_ms
        ping_answered(sentinel, instance, link, reply, at_ms)

    asked(link, now_ms)
    sentinel.send_over(link, sentinel.renamed(instance, ("PING",)), answered)


def asked(link: Link, now_ms: int) -> None:
    """Note that a node was asked for a sign of life."""
    link.ping_sent_ms = now_ms
    if link.ping_pending_since_ms is None:
        link.ping_pending_since_ms = now_ms


def ping_answered(sentinel: Sentinel, instance: Instance, link: Link, reply: Reply, now_ms: int) -> None:
    """Take the reply to a PING."""
    link.answered_ms = now_ms
    if not isinstance(reply, (ReplyStatus, ReplyError)):
        return
    if reply.startswith(GOOD_ANSWERS):
        is_loading = reply.startswith("LOADING")
        if is_loading:
            link.loading_since_ms = link.loading_since_ms if link.loading_since_ms is not None else now_ms
            sentinel.stir()
        lives(sentinel, instance, link, now_ms, is_loading)
    elif reply.startswith("MISCONF"):
        _ask_what_fails(sentinel, instance, link, now_ms)
    elif reply.startswith("BUSY") and instance.is_sdown and not instance.script_killed:
        instance.script_killed = True
        sentinel.send(instance, "SCRIPT", "KILL")


def lives(sentinel: Sentinel, instance: Instance, link: Link, now_ms: int, is_loading: bool = False) -> None:
    """Take a sign of life: nothing is owed any more."""
    link.available_ms = link.answered_ms = now_ms
    link.ping_pending_since_ms = None
    if not is_loading:
        link.loading_since_ms = None
    if instance.link is not link:
        return  # its group has another primary meanwhile
    if not is_loading:
        instance.rebooted_ms = None
    if instance.is_sdown and instance.role is not Role.SENTINEL:
        ask_info(sentinel, instance, now_ms)


def grant_answered(
    sentinel: Sentinel, node: Instance, link: Link, reply: Reply, sent_ms: int, now_ms: int
) -> None:
    """Take the answer to a grant for what it says of the node's life."""
    link.proved_ms = sent_ms
    match reply:
        case [_, _, _, int(state), *_]:
            if link.grants_stand and state & UNWELL:
                _ask_what_fails(sentinel, node, link, now_ms)
            link.grants_stand = not state & UNWELL
        case _:
            link.grants_stand = False
    if link.grants_stand:
        lives(sentinel, node, link, now_ms)


def _ask_what_fails(sentinel: Sentinel, node: Instance, link: Link, now_ms: int) -> None:
    """Ask a node of ours that is not well for INFO at once: that alone says whether it fails writes."""
    is_asked = node.info_ms is None or node.info_sent_ms > node.info_ms
    if node.link is link and node.node_id and node.fails_writes_since_ms is None and not is_asked:
        ask_info(sentinel, node, now_ms)


def ask_kind(sentinel: Sentinel, other: Instance) -> None:
    """Ask a Sentinel whether it is one of ours."""

    def answered(reply: Reply, at_ms: int) -> None:
        other.is_ours = isinstance(reply, ReplyStatus) and not isinstance(reply, ReplyError)

    sentinel.send(other, "SENTINEL", "HOLDFAST", on_reply=answered)


def ask_voters(sentinel: Sentinel, other: Instance) -> None:
    """Ask a Sentinel of ours for its list of voters, and keep it if it is higher than ours."""
    primary = other.group

    def answered(reply: Reply, at_ms: int) -> None:
        match reply:
            case [int(epoch), int(step), [*ids]] if ids:
                told = VoterList(epoch, step, frozenset(map(str, ids)))
                if told.number > primary.voter_list.number:
                    primary.voter_list = told
                    sentinel.persist()

    sentinel.send(other, "SENTINEL", "VOTERS", primary.name, on_reply=answered)


def publish(sentinel: Sentinel, instance: Instance, now_ms: int) -> None:
    """Say hello through a node, or to a Sentinel."""
    primary, options, link = instance.group, sentinel.options, instance.link
    address = primary.current_address
    hello = Hello(
        options.announce_ip or link.local_ip,
        options.announce_port or options.own_port,
        sentinel.my_id,
        sentinel.epoch,
        primary.name,
        sentinel.shown(address),
        address.port,
        primary.config_epoch,
    )
    if hello.host:
        instance.published_ms = now_ms

        def answered(reply: Reply, at_ms: int) -> None:
            if instance.role is Role.SENTINEL and not isinstance(reply, ReplyError):
                lives(sentinel, instance, link, at_ms)

        sentinel.send_over(link, sentinel.renamed(instance, ("PUBLISH", CHANNEL, hello.encode())), answered)


def publish_everywhere(sentinel: Sentinel, primary: Primary, now_ms: int) -> None:
    """Spread a new configuration at once."""
    for each in (*primary.sentinels.values(), *primary.replicas.values(), primary):
        if each.link.is_up:
            publish(sentinel, each, now_ms)
        else:
            each.published_ms = -(10**9)


def ask_others(sentinel: Sentinel, primary: Primary, now_ms: int, forced: bool = False) -> None:
    """Ask the other Sentinels whether the primary is down, and for their votes."""
    period_ms = min(sentinel.times.ask_period, PROMPT_ASK_MS)
    candidate = primary.in_failover and primary.failover_epoch == sentinel.epoch
    waits = not primary.is_odown or primary.failover is Failover.WAIT_START
    words = (
        "SENTINEL",
        "IS-MASTER-DOWN-BY-ADDR",
        sentinel.shown(primary.address),
        str(primary.address.port),
        str(sentinel.epoch),
        sentinel.my_id if candidate else "*",
    )
    for other in primary.sentinels.values():
        if now_ms - other.down_reply_ms > sentinel.times.ask_period * 5:
            other.says_down, other.vote = False, ""
        if not (primary.is_sdown or primary.failover is Failover.WAIT_START) or not other.link.is_up:
            continue
        if forced or now_ms - other.asked_ms >= (period_ms if waits else sentinel.times.ask_period):
            other.asked_ms = now_ms
            _ask(sentinel, other, words)


def _ask(sentinel: Sentinel, other: Instance, words: tuple[str, ...]) -> None:
    def answered(reply: Reply, at_ms: int) -> None:
        match reply:
            case [int(down), str(leader), int(epoch), *more]:
                other.down_reply_ms = at_ms
                other.says_down = down == 1
                if leader != "*":
                    if other.vote_epoch != epoch:
                        sentinel.log(f"{other.name} voted for {leader} {epoch}")
                    other.vote, other.vote_epoch = leader, epoch
                    other.vote_list, other.vote_wait_until_ms = (0, 0), 0
                    match more:
                        case [int(wait_ms), int(list_epoch), int(step)]:
                            other.vote_list = list_epoch, step
                            other.vote_wait_until_ms = at_ms + wait_ms
                    if other.vote_list > other.group.voter_list.number:
                        ask_voters(sentinel, other)  # its vote counts as soon as we have its list

    sentinel.send(other, *words, on_reply=answered)
