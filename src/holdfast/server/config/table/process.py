"""The process: log, service manager, title, the kernel's view of it.

How to read it: a directive a line; `accepted` says what one means that does not work here.
"""

from __future__ import annotations

from holdfast.server.config.checks import not_both_save_and_nosave, title_template
from holdfast.server.config.directive import (
    INT_MAX,
    Directive,
    choice,
    integer,
    name_or_none,
    text,
    yes_no,
)
from holdfast.server.config.kinds import Choice, Choices, Integer, Text
from holdfast.server.config.lists import Directory, OomScores

_NO_PINNING = "threads are not pinned to processors; start the server under taskset for that"
_NO_CRASH_REPORT = "a crash is reported by Python's fault handler, in its own form"
_NO_OOM_SCORE = "the kernel's out-of-memory score is left as the service manager set it"
_ONE_THREAD = "one thread serves all clients of a node; this asks for more and changes nothing"
_DEBUGGING = "a knob of Redis's own test suite; nothing here reads it"

DIRECTIVES = (
    yes_no("daemonize", False, immutable=True),
    choice("supervised", "no", "upstart", "systemd", "auto", "no", immutable=True),
    name_or_none("pidfile", immutable=True),
    text("logfile", immutable=True),
    choice("loglevel", "notice", "debug", "verbose", "notice", "warning", "nothing"),
    yes_no("syslog-enabled", False, immutable=True),
    text("syslog-ident", "redis", immutable=True),
    choice(
        "syslog-facility",
        "local0",
        "user",
        *(f"local{number}" for number in range(8)),
        immutable=True,
    ),
    Directive("dir", Directory(), "", protected=True, denied_while_loading=True),
    yes_no("always-show-logo", False, immutable=True, accepted="there is no logo to show"),
    yes_no("set-proc-title", True, immutable=True),
    Directive(
        "proc-title-template",
        Text(check=title_template),
        "{title} {listen-addr} {server-mode}",
    ),
    text("locale-collate", accepted="text is compared by its bytes in every locale"),
    text("ignore-warnings", accepted="none of the warnings that it can silence is ever given"),
    Directive("hz", Integer(0, INT_MAX, clamp=(1, 500)), 10),
    yes_no("dynamic-hz", True),
    Directive(
        "shutdown-on-sigint",
        Choices("default", "save", "nosave", "now", "force", check=not_both_save_and_nosave),
        frozenset(),
    ),
    Directive(
        "shutdown-on-sigterm",
        Choices("default", "save", "nosave", "now", "force", check=not_both_save_and_nosave),
        frozenset(),
    ),
    integer("shutdown-timeout", 10),
    integer("io-threads", 1, 1, 128, immutable=True, accepted=_ONE_THREAD),
    yes_no("io-threads-do-reads", False, immutable=True, accepted=_ONE_THREAD),
    name_or_none("server_cpulist", immutable=True, accepted=_NO_PINNING),
    name_or_none("bio_cpulist", immutable=True, accepted=_NO_PINNING),
    name_or_none("aof_rewrite_cpulist", immutable=True, accepted=_NO_PINNING),
    name_or_none("bgsave_cpulist", immutable=True, accepted=_NO_PINNING),
    yes_no("crash-log-enabled", True, accepted=_NO_CRASH_REPORT),
    yes_no("crash-memcheck-enabled", True, accepted=_NO_CRASH_REPORT),
    yes_no("use-exit-on-panic", False, hidden=True, accepted=_DEBUGGING),
    integer("watchdog-period", 0, hidden=True, accepted="there is no software watchdog"),
    yes_no("disable-thp", True, immutable=True),
    Directive(
        "oom-score-adj",
        Choice("no", "yes", "absolute", synonyms={"relative": "yes"}),
        "no",
        accepted=_NO_OOM_SCORE,
    ),
    Directive("oom-score-adj-values", OomScores(), (0, 200, 800), accepted=_NO_OOM_SCORE),
    name_or_none("req-res-logfile", immutable=True, hidden=True, accepted=_DEBUGGING),
    integer("client-default-resp", 2, 2, 3, immutable=True, hidden=True, accepted=_DEBUGGING),
)
