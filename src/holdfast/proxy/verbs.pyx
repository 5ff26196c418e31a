"""How each command is routed, in C: the rules of rules.py beside the engine's command table.

`learn` is called once, before the first client. Commands that the engine lacks
are declared without a handler, so that arity and COMMAND know them.
"""

from libc.stdlib cimport abort, calloc, free
from holdfast.engine.registry cimport command, find_command, find_subcommand
from holdfast.engine.state cimport CMD_CONTAINER, Call, Command, Engine
from holdfast.proxy.shapes cimport Exchange, Verb

from holdfast.proxy.rules import BEYOND, rule_of


def learn(Exchange exchange):
    """Judge every command of the engine, and add those that only backends know."""
    cdef Engine e = exchange.engine
    cdef bytes name
    cdef Verb* verb
    cdef int i
    for spec in BEYOND:
        name = spec.name.encode()
        if find_command(e, name, len(name)) == NULL:
            command(e, NULL, spec)
    free(exchange.verbs)
    exchange.verbs = <Verb*>calloc(e.command_count, sizeof(Verb))
    if exchange.verbs == NULL:
        abort()
    exchange.verb_count = e.command_count
    for i in range(e.command_count):
        rule = rule_of(e.specs[i])
        verb = &exchange.verbs[i]
        verb.kind = rule.kind
        verb.join = rule.join
        verb.writes = rule.writes
        verb.blocks = rule.blocks
        verb.number = rule.number
        verb.first = rule.first
        verb.last = rule.last
        verb.step = rule.step
        verb.extra = rule.extra
        verb.is_sub = "|" in e.specs[i].name


cdef Command* command_of(Exchange exchange, Call* c, Command* cmd) noexcept:
    if exchange.verbs[cmd.id].is_sub:
        return NULL
    if cmd.flags & CMD_CONTAINER and c.argc >= 2:
        cmd = find_subcommand(exchange.engine, cmd, c.argv[1].ptr, c.argv[1].len)
        if cmd == NULL:
            return NULL
    if (cmd.arity > 0 and c.argc != cmd.arity) or c.argc < -cmd.arity:
        return NULL
    return cmd


def kind_of(Exchange exchange, str name):
    """Return the kind of a command, None when there is none of that name."""
    cdef bytes text = name.encode()
    cdef Command* cmd = find_command(exchange.engine, text, len(text))
    return None if cmd == NULL else exchange.verbs[cmd.id].kind
