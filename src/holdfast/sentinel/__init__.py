"""Sentinel: who watches primaries, agrees on their death and promotes a replica.

What it is: the decisions, as plain objects and functions without socket, clock or
file (`model`, `effects`, `down`, `election`, `selection`, `observation`, `failover`,
`planned`, `takeover`, `machine`), the formats (`info_reply`, `hello`, `config_file`,
`reply_reader`), the commands, and the thin asyncio part (`link`, `scripts`). What
it is not: the process; `holdfast.node.sentinel` wires it.

How to read it: `model` says what is known, `machine` what happens when time passes
or something arrives, `effects` what comes out of it.
"""
