"""What one Sentinel knows: primaries, their replicas and Sentinels, links, votes.

What it is: state and questions about it, with the text of an event's subject. What
it is not: decisions (`machine` and what it calls change this), I/O.

How to read it: `Address`, `Link` (what is known from connections), `Instance` (one
node as seen from here), `Primary`, then `Sentinel`, which holds everything and
collects effects. All times are milliseconds of a clock that never goes back.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from holdfast.sentinel.effects import Crash, Effect, LogOnly, LookAgain, Persist, Send, Tell
from holdfast.sentinel.settings import Options, PrimaryOptions, Times

if TYPE_CHECKING:
    from holdfast.sentinel.effects import OnReply
    from holdfast.sentinel.hand_over import HandOver
    from holdfast.sentinel.reply_reader import Reply
    from holdfast.sentinel.takeover import Orders, Takeover


class Role(Enum):
    """What an instance is to us, in the words of Sentinel's events."""

    PRIMARY = "master"
    REPLICA = "slave"
    SENTINEL = "sentinel"


class Reconf(Enum):
    """How far a replica has been turned to a new primary."""

    NONE = ""
    SENT = "reconf_sent"
    IN_PROGRESS = "reconf_inprog"
    DONE = "reconf_done"


class Failover(Enum):
    """Where a failover stands, in the words of SENTINEL MASTER."""

    NONE = "none"
    WAIT_START = "wait_start"
    SELECT_REPLICA = "select_slave"
    SEND_PROMOTION = "send_slaveof_noone"
    WAIT_PROMOTION = "wait_promotion"
    RECONF_REPLICAS = "reconf_slaves"
    UPDATE_CONFIG = "update_config"


@dataclass(slots=True)
class Address:
    """Where a node listens. `ip` is "" until the name was resolved."""

    host: str
    port: int
    ip: str = ""

    def is_at(self, host: str, port: int) -> bool:
        """Tell whether this is the address, by name or by number."""
        return port == self.port and host.lower() in (self.host.lower(), self.ip.lower())


@dataclass(frozen=True, slots=True)
class VoterList:
    """Who votes on one group of nodes: numbered by the primary's epoch and a step. (0, 0): there is none."""

    epoch: int = 0
    step: int = 0
    ids: frozenset[str] = frozenset()

    @property
    def number(self) -> tuple[int, int]:
        """Lists compare by this."""
        return self.epoch, self.step


class LinkState(Enum):
    """One connection."""

    DOWN = "down"
    CONNECTING = "connecting"
    UP = "up"


@dataclass(slots=True, eq=False)
class Link:
    """What is known from the connections to one node; Sentinels of several primaries share theirs.

    `ping_pending_since_ms` is when the oldest unanswered PING, or grant that stands for one, was sent;
    None: all are answered.
    """

    address: Address
    has_pubsub: bool
    available_ms: int
    """When the last good reply to a PING, or other sign that the node serves, came."""
    answered_ms: int
    """When the last reply to a PING came, of any kind, or another sign that the node serves."""
    proved_ms: int = -(10**9)
    """When the last PING or grant that was answered at all had been sent."""
    grants_stand: bool = False
    """The last grant was answered, and by a node that serves: until one is not, grants stand for PINGs."""
    command: LinkState = LinkState.DOWN
    pubsub: LinkState = LinkState.DOWN
    owners: int = 1
    ping_pending_since_ms: int | None = None
    ping_sent_ms: int = -(10**9)
    """When a PING, or a grant that stands for one, was last sent."""
    connected_ms: int = 0
    pubsub_connected_ms: int = 0
    pubsub_heard_ms: int = 0
    command_tried_ms: int = -(10**9)
    pubsub_tried_ms: int = -(10**9)
    pending_commands: int = 0
    local_ip: str = ""
    was_up: bool = False
    """An established command connection existed since the node was last seen well."""
    refused_since_ms: int | None = None
    """An established connection ended and a fresh connect was refused: suspicion, not proof."""
    loading_since_ms: int | None = None

    @property
    def is_up(self) -> bool:
        """Whether commands can be sent now."""
        return self.command is LinkState.UP

    @property
    def is_disconnected(self) -> bool:
        """As the flag `disconnected` tells."""
        return not self.is_up or (self.has_pubsub and self.pubsub is not LinkState.UP)


@dataclass(slots=True, eq=False)
class Instance:
    """One node as this Sentinel sees it."""

    role: Role
    name: str
    link: Link
    primary: Primary | None = None
    """Whose replica or Sentinel it is; None for a primary."""
    run_id: str = ""
    published_ms: int = -(10**9)
    sdown_since_ms: int | None = None
    info_ms: int | None = None
    info_sent_ms: int = -(10**9)
    info_text: str = ""
    role_reported: Role = Role.PRIMARY
    role_reported_ms: int = 0
    rest_until_ms: int = 0
    """No look at it finds anything before, as long as `Sentinel.stirs` is `rest_stirs` (`resting`)."""
    rest_stirs: int = 0
    ping_rest_ms: int = 0
    """How long after its last sign of life it needs no PING, while it rests."""
    patience_ms: int = 0
    """How long an unanswered PING leaves it at rest."""
    # of a node of data
    node_id: str = ""
    """The durable name that nodes of ours tell; "" for stock nodes."""
    kept_id: str = ""
    """The same where the node has it on disk, as a fence or a lease has it do: a restart keeps it."""
    is_stranger: bool = False
    """Another node answers at its address: nothing of what it says counts, and it gets no orders."""
    rebooted_ms: int | None = None
    """When a primary was seen with another run id, and master-reboot-down-after-period is set."""
    lost_history: bool = False
    fails_writes_since_ms: int | None = None
    """Since when it refuses writes because of its disk."""
    key_count: int | None = None
    script_killed: bool = False
    link_down_ms: int = 0
    """How long the replica has been without its primary."""
    priority: int = 100
    is_announced: bool = True
    is_link_ok: bool = False
    primary_host: str = ""
    primary_port: int = 0
    primary_changed_ms: int = 0
    offset: int = 0
    reconf: Reconf = Reconf.NONE
    reconf_sent_ms: int = 0
    is_promoted: bool = False
    converted_ms: int = -(10**9)
    led_before: bool = False
    """It was the primary of this configuration and has not said since that it follows."""
    history: str = ""
    """Of a node that leads: the replication id of its stream; "" where it has not said so since it does."""
    history_before: str = ""
    """The one that it followed until it was promoted."""
    is_ours: bool | None = None
    """Of a Sentinel: it is of this program, and so knows of leases; None: it has not said."""
    lease_lost: bool = False
    lease_token: int = 0
    """What the node's clock said when it last answered; 0: nothing yet."""
    token_ms: int = 0
    """When that answer came."""
    lease_run_id: str = ""
    lease_epoch: int = 0
    restarted_in_epoch: int | None = None
    """It was seen to restart while it led in this epoch: nobody grants before a higher one."""
    granted_ms: int = -(10**9)
    grant_period_ms: int = 0
    """How often it is told of the lease while it rests; 0: not at all."""
    is_leaving: bool = False
    """Of a primary of ours: it is about to shut down, and waits to hand over."""
    standing: str = ""
    """Of a node of ours: primary, replica, fenced or candidate."""
    fence_epoch: int = 0
    """Of a node of ours: the highest epoch that it obeyed; 0: it has never seen a manager."""
    is_copying: bool = False
    """It waits for another node's whole copy, or receives it."""
    refused_primary: str = ""
    """Why a replica of ours does not follow its primary."""
    failover_state: str = ""
    """What INFO calls master_failover_state."""
    # of a Sentinel
    hello_ms: int = 0
    says_down: bool = False
    down_reply_ms: int = 0
    asked_ms: int = -(10**9)
    vote: str = ""
    vote_epoch: int = 0
    vote_list: tuple[int, int] = (0, 0)
    """The number of the list of voters that it told with its vote."""
    vote_wait_until_ms: int = 0
    """When what it has granted has surely ended."""

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self.link.address

    @property
    def is_sdown(self) -> bool:
        """Whether it is subjectively down."""
        return self.sdown_since_ms is not None

    @property
    def group(self) -> Primary:
        """The primary that it belongs to, itself for a primary."""
        assert self.primary is not None
        return self.primary


@dataclass(slots=True, eq=False)
class Primary(Instance):
    """A primary and all that belongs to it. Invariant: `promoted` is one of `replicas` or None."""

    options: PrimaryOptions = field(default_factory=lambda: PrimaryOptions(1))
    replicas: dict[str, Instance] = field(default_factory=dict)
    """By address, as announced."""
    sentinels: dict[str, Instance] = field(default_factory=dict)
    """The others, by id. They never leave by age."""
    my_id: str = ""
    voter_list: VoterList = VoterList()
    others_rest_until_ms: int = 0
    """As `rest_until_ms`, of all its replicas and Sentinels, grants included."""
    others_rest_stirs: int = -1
    lease_words: tuple[str, ...] = ()
    """What grants say of voters and nodes; right as long as `Sentinel.stirs` is `lease_words_stirs`."""
    lease_words_stirs: int = -1
    said: str = ""
    """What the log was last told of the lease."""
    unwanted_voters: frozenset[str] = frozenset()
    """Whom the operator wants out of the list."""
    granted_until_ms: int = 0
    """When the lease that we granted has surely ended, whatever the primary's clock does."""
    odown_since_ms: int | None = None
    config_epoch: int = 0
    leader: str = ""
    """Whom we voted for in `leader_epoch`."""
    leader_epoch: int = 0
    failover: Failover = Failover.NONE
    failover_epoch: int = 0
    failover_changed_ms: int = 0
    failover_start_ms: int | None = None
    """When the last attempt began, ours or that of whom we voted for."""
    start_after_ms: int = 0
    """No attempt of ours begins before."""
    is_forced: bool = False
    """SENTINEL FAILOVER: no agreement is needed."""
    is_planned: bool = False
    """The primary hands over by itself."""
    hand_over_sent: bool = False
    """FAILOVER TO was sent, which our nodes carry out themselves."""
    hand_over: HandOver | None = None
    """A planned failover of stock nodes, while it runs."""
    election_rounds: int = 0
    exited_run_id: str = ""
    """The process of which its parent has reported the end, at `exited_ms`."""
    exited_ms: int = 0
    is_unsure: bool = False
    """Fast-down: the replicas have not yet said whether they hear the primary."""
    delay_logged_ms: int | None = None
    promoted: Instance | None = None
    elected_ms: int = 0
    """When the present attempt won its election."""
    orphan_since_ms: int | None = None
    """Since when it is seen to wait for a leader's order, or to have a replica that does."""
    must_change: bool = False
    """A planned failover of fenced nodes: the old primary may not be chosen again."""
    takeover: Takeover | None = None
    """Fencing and promotion of nodes of ours, while it runs."""

    @property
    def group(self) -> Primary:
        """Itself."""
        return self

    @property
    def is_odown(self) -> bool:
        """Whether a quorum agrees that it is down."""
        return self.odown_since_ms is not None

    @property
    def in_failover(self) -> bool:
        """Whether we are failing over."""
        return self.failover is not Failover.NONE

    @property
    def current_address(self) -> Address:
        """Where clients should go: the promoted replica as soon as it leads."""
        if self.promoted is not None and self.failover in (Failover.RECONF_REPLICAS, Failover.UPDATE_CONFIG):
            return self.promoted.address
        return self.address

    @property
    def voters(self) -> int:
        """All known Sentinels, this one too."""
        return len(self.sentinels) + 1


class Sentinel:
    """Everything that one Sentinel knows, and the effects that wait to be run."""

    def __init__(self, my_id: str, luck: random.Random, now_ms: int) -> None:
        self.my_id = my_id
        self.luck = luck
        self.times = Times()
        self.options = Options()
        self.epoch = 0
        self.primaries: dict[str, Primary] = {}
        self.tilt_since_ms: int | None = None
        self.looked_ms = now_ms
        self.crash_after_election = False
        self.crash_after_promotion = False
        self.stirs = 0
        """Changes whenever everything is to be looked at anew (`resting`)."""
        self.effects: list[Effect] = []
        self.on_info: Callable[[Instance, str, int], None] = lambda instance, text, now_ms: None
        """Takes every INFO reply; set by the machine."""
        self.orders: Orders | None = None
        """How nodes of ours are fenced and promoted; None: they are treated as stock nodes."""

    def stir(self) -> None:
        """Let everything be looked at anew: what was found to be due later may be due now."""
        self.stirs += 1

    # ---- making instances ----

    def link_to(self, address: Address, has_pubsub: bool, now_ms: int) -> Link:
        """Return a fresh link."""
        return Link(address, has_pubsub, now_ms, now_ms, ping_pending_since_ms=now_ms)

    def add_primary(self, name: str, address: Address, options: PrimaryOptions, now_ms: int) -> Primary:
        """Begin to watch a primary."""
        primary = Primary(
            Role.PRIMARY, name, self.link_to(address, True, now_ms), role_reported_ms=now_ms, options=options
        )
        primary.my_id = self.my_id
        self.primaries[name] = primary
        return primary

    def add_replica(self, primary: Primary, address: Address, now_ms: int) -> Instance | None:
        """Begin to watch a replica; None: it is known."""
        name = self.key_of(address)
        if name in primary.replicas:
            return None
        link = self.link_to(address, True, now_ms)
        replica = Instance(
            Role.REPLICA,
            name,
            link,
            primary,
            role_reported=Role.REPLICA,
            role_reported_ms=now_ms,
            primary_changed_ms=now_ms,
        )
        primary.replicas[name] = replica
        self.stir()
        return replica

    def add_sentinel(self, primary: Primary, address: Address, run_id: str, now_ms: int) -> Instance | None:
        """Begin to speak with another Sentinel; None: it is known."""
        if run_id in primary.sentinels:
            return None
        link = self._shared_link(address, run_id) or self.link_to(address, False, now_ms)
        other = Instance(Role.SENTINEL, run_id, link, primary, run_id, hello_ms=now_ms, down_reply_ms=now_ms)
        primary.sentinels[run_id] = other
        self.stir()
        return other

    def _shared_link(self, address: Address, run_id: str) -> Link | None:
        for primary in self.primaries.values():
            other = primary.sentinels.get(run_id)
            if other is not None and other.address.is_at(address.host, address.port):
                other.link.owners += 1
                return other.link
        return None

    # ---- words ----

    def shown(self, address: Address) -> str:
        """Return the host as clients are told."""
        if self.options.announce_hostnames:
            return address.host
        return address.ip or address.host

    def key_of(self, address: Address) -> str:
        """Return the name of a replica."""
        host = self.shown(address)
        return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"

    def subject(self, instance: Instance) -> str:
        """Return how events name an instance."""
        text = f"{instance.role.value} {instance.name} {self.shown(instance.address)} {instance.address.port}"
        group = instance.primary
        if group is not None:
            text += f" @ {group.name} {self.shown(group.address)} {group.address.port}"
        return text

    # ---- effects ----

    def do(self, effect: Effect) -> None:
        """Add an effect."""
        self.effects.append(effect)

    def take_effects(self) -> list[Effect]:
        """Return what waits to be run, and forget it."""
        effects, self.effects = self.effects, []
        return effects

    def persist(self) -> None:
        """Have the state written before anything that follows."""
        self.do(Persist())

    def look_again(self, after_ms: int) -> None:
        """Have time looked at soon."""
        self.do(LookAgain(after_ms))

    def crash(self) -> None:
        """End as a crash would (SENTINEL SIMULATE-FAILURE)."""
        self.log("Sentinel CRASH because of SENTINEL simulate-failure", "warning")
        self.do(Crash())

    def log(self, text: str, level: str = "notice") -> None:
        """Write to the log."""
        self.do(LogOnly(level, text))

    def tell(self, event: str, instance: Instance, rest: str = "", level: str = "warning") -> None:
        """Publish an event about an instance; `rest` follows its name."""
        self.tell_text(event, self.subject(instance) + (f" {rest}" if rest else ""), level, instance)

    def tell_text(
        self, event: str, text: str, level: str = "warning", instance: Instance | None = None
    ) -> None:
        """Publish an event with just this text."""
        script = ""
        if level == "warning" and instance is not None:
            script = instance.group.options.notification_script
        self.do(Tell(level, event, text, script))

    def send(self, instance: Instance, *words: str, on_reply: OnReply | None = None) -> None:
        """Send a command by its name of this group, counted until it is answered.

        After a switch the primary of a group is another node with another link: what comes over the
        old one by then is not its answer, and `on_reply` is not called.
        """
        link = instance.link

        def answered(reply: Reply, at_ms: int) -> None:
            if on_reply is not None and instance.link is link:
                self.stir()
                on_reply(reply, at_ms)

        self.send_over(link, self.renamed(instance, words), answered)

    def send_over(self, link: Link, words: tuple[str, ...], on_reply: OnReply) -> None:
        """Send a command whose answer is about the link, whoever has it by then; it stirs by itself."""
        link.pending_commands += 1
        self.do(Send(link, words, on_reply))

    def renamed(self, instance: Instance, words: tuple[str, ...]) -> tuple[str, ...]:
        """Return a command under the name that the group knows it by."""
        if instance.role is Role.SENTINEL:
            return words
        name = instance.group.options.renamed_commands.get(words[0].upper())
        return words if name is None else (name, *words[1:])
