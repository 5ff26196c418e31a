"""What an operator can set: times, options of one primary, options of the Sentinel.

What it is: plain values with Redis's defaults; milliseconds everywhere. What it is
not: their text form (`config_file`) or the commands that change them.

How to read it: `Times` is SENTINEL DEBUG, `PrimaryOptions` is SENTINEL SET,
`Options` is SENTINEL CONFIG. What Redis does not have stands last in each.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PORT = 26379
DEFAULT_DOWN_AFTER_MS = 30_000
DEFAULT_FAILOVER_TIMEOUT_MS = 180_000


@dataclass(slots=True)
class Times:
    """The periods of one Sentinel, in milliseconds."""

    info_period: int = 10_000
    ping_period: int = 1000
    ask_period: int = 1000
    publish_period: int = 2000
    default_down_after: int = DEFAULT_DOWN_AFTER_MS
    default_failover_timeout: int = DEFAULT_FAILOVER_TIMEOUT_MS
    tilt_trigger: int = 2000
    tilt_period: int = 30_000
    slave_reconf_timeout: int = 10_000
    min_link_reconnect_period: int = 15_000
    election_timeout: int = 10_000
    script_max_runtime: int = 60_000
    script_retry_delay: int = 30_000


TIME_NAMES = tuple(Times.__dataclass_fields__)
"""In the order in which SENTINEL DEBUG shows them; hyphens on the wire."""

BEAT_MS = 50
"""How often time is looked at when nothing happens."""
RECONNECT_MS = 200
"""How long after a failed attempt the next one begins."""
PROMPT_ASK_MS = 100
"""How often others are asked, and INFO is sent, while a decision waits for the answer."""
PLANNED_POLL_MS = 20
"""How often INFO is sent while writes are paused for a hand-over."""
CANDIDATE_DELAY_MS = 120
"""A Sentinel that sees ODOWN waits up to this long, by luck, before it asks for votes."""
ELECTION_ROUND_MS = 400
"""How long a candidate waits for its majority before it tries a higher epoch; doubles each time."""
PLANNED_WAIT_MS = 5000
"""How long writes may stay paused for a planned failover."""


@dataclass(slots=True)
class PrimaryOptions:
    """What is set for one primary."""

    quorum: int
    down_after_ms: int = DEFAULT_DOWN_AFTER_MS
    failover_timeout_ms: int = DEFAULT_FAILOVER_TIMEOUT_MS
    parallel_syncs: int = 1
    notification_script: str = ""
    client_reconfig_script: str = ""
    auth_pass: str = ""
    auth_user: str = ""
    reboot_down_after_ms: int = 0
    renamed_commands: dict[str, str] = field(default_factory=dict)
    """Command in upper case -> what this group of nodes calls it."""
    fast_down: bool = True
    allow_data_loss: bool = False
    primary_lease_ms: int = -1
    """How long a grant lasts; 0: no lease; -1: a tenth of down-after, within 300 ms and 1 s."""
    forget_replicas_after_ms: int = 0
    """0: dead replicas are forgotten only by SENTINEL RESET."""

    @property
    def lease_ms(self) -> int:
        """How long a grant lasts."""
        if self.primary_lease_ms >= 0:
            return self.primary_lease_ms
        return max(300, min(1000, self.down_after_ms // 10))


@dataclass(slots=True)
class Options:
    """What is set for the whole Sentinel."""

    announce_ip: str = ""
    announce_port: int = 0
    deny_scripts_reconfig: bool = True
    sentinel_user: str = ""
    sentinel_pass: str = ""
    resolve_hostnames: bool = False
    announce_hostnames: bool = False
    own_pass: str = ""
    """requirepass: what other Sentinels are told where there is no sentinel-pass."""
    own_port: int = PORT
