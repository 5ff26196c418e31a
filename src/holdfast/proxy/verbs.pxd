# How each command is routed, in C: the rules of rules.py beside the engine's command table.

from holdfast.engine.state cimport Call, Command, Engine
from holdfast.proxy.shapes cimport Exchange, Verb

cdef enum VerbKind:         # as `Kind` in rules.py
    V_LOCAL
    V_KEY
    V_KEYS
    V_COUNTED
    V_MOVABLE
    V_SPLIT
    V_ALL
    V_CURSOR
    V_ANY
    V_CHANNEL
    V_LISTEN
    V_MULTI
    V_EXEC
    V_DISCARD
    V_WATCH
    V_UNWATCH
    V_SELECT
    V_CONTAINER
    V_REFUSED

# The command of a call whose first word names `cmd`, of a container its sub-command; NULL: there is none, or
# its arity is wrong.
cdef Command* command_of(Exchange exchange, Call* c, Command* cmd) noexcept
