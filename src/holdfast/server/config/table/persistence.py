"""Snapshots and the append-only file.

How to read it: a directive a line; `accepted` says what one means that does not work here.
"""

from __future__ import annotations

from holdfast.server.config.checks import base_name
from holdfast.server.config.directive import INT_MAX, Directive, choice, integer, memory, yes_no
from holdfast.server.config.kinds import Text
from holdfast.server.config.lists import SaveRule, SaveRules

_DEBUGGING = "a knob of Redis's own test suite; nothing here reads it"

DIRECTIVES = (
    Directive("save", SaveRules(), (SaveRule(3600, 1), SaveRule(300, 100), SaveRule(60, 10000))),
    Directive(
        "dbfilename",
        Text(check=base_name("dbfilename", "filename", may_be_empty=True)),
        "dump.rdb",
        protected=True,
    ),
    yes_no("rdbcompression", True),
    yes_no("rdbchecksum", True, immutable=True),
    yes_no("rdb-save-incremental-fsync", True),
    yes_no("rdb-del-sync-files", False),
    yes_no("stop-writes-on-bgsave-error", True),
    yes_no("appendonly", False, denied_while_loading=True),
    choice("appendfsync", "everysec", "everysec", "always", "no"),
    Directive(
        "appendfilename",
        Text(check=base_name("appendfilename", "filename", may_be_empty=False)),
        "appendonly.aof",
        immutable=True,
    ),
    Directive(
        "appenddirname",
        Text(check=base_name("appenddirname", "dirname", may_be_empty=False)),
        "appendonlydir",
        immutable=True,
    ),
    yes_no("no-appendfsync-on-rewrite", False),
    integer("auto-aof-rewrite-percentage", 100),
    memory("auto-aof-rewrite-min-size", 64 << 20),
    yes_no("aof-load-truncated", True),
    yes_no("aof-use-rdb-preamble", True),
    yes_no("aof-timestamp-enabled", False),
    yes_no("aof-rewrite-incremental-fsync", True),
    yes_no("aof-disable-auto-gc", False, hidden=True),
    integer("rdb-key-save-delay", 0, -INT_MAX - 1, hidden=True, accepted=_DEBUGGING),
    integer("key-load-delay", 0, -INT_MAX - 1, hidden=True, accepted=_DEBUGGING),
    integer("loading-process-events-interval-bytes", 2 << 20, 1024, hidden=True, accepted=_DEBUGGING),
)
