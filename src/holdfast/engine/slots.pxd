# Redirection: whether this node of a cluster serves the keys of a request.

from libc.stdint cimport uint64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.keyspace cimport know_slot, slot_of
from holdfast.engine.slot_table cimport KEYS_NONE, KEYS_ONE, KeyRules
from holdfast.engine.state cimport Call, Engine, Session

cdef enum Verdict:
    SERVED = 0
    MOVED = 1               # another node has the slot
    ASK = 2                 # the slot is being moved, and the key is not here any more
    CROSSSLOT = 3           # keys in several slots
    TRYAGAIN = 4            # some keys are here, some are not, while the slot is being moved
    DOWN = 5                # cluster_state is fail
    DOWN_READS_ONLY = 6
    UNBOUND = 7             # nobody has the slot

cdef struct KeyCheck:       # what the keys of a request have shown so far
    int slot                # of the first one, -1: there was none
    Slice first
    bint crossed            # another key is in another slot
    bint different          # another key is another one
    bint channels
    bint moves_keys
    int missing             # keys of an open slot that are not here, and that are
    int existing


# The common case, asked without a call: one key, in a slot that is ours and stays so; or no key.
cdef inline bint plainly_served(Engine e, Call* c) noexcept nogil:
    cdef KeyRules* r = &e.slots.rules[c.command.id]
    cdef int slot
    if r.kind == KEYS_NONE:
        return True
    if r.kind != KEYS_ONE:
        return False
    slot = slot_of(e.ks.dbs, c.argv[r.at].ptr, c.argv[r.at].len)
    know_slot(e.ks.dbs, c.argv[r.at], slot)
    return e.slots.plain[slot]

# Positions of a call's keys in e.slots.positions; how many.
cdef int find_positions(Engine e, Call* c) except -1
# Judge a call (EXEC: what is queued); `flags` are its session's that count: S_ASKING, S_READONLY, S_MULTI.
# *slot is that of its keys, or -1.
cdef Verdict judge(Session s, Call* c, uint64_t flags, int* slot) except *
# Park a write to a slot whose keys are on their way elsewhere. True: parked.
cdef bint waits_for_transit(Session s, Call* c, int slot) except? False
# Answer a request that is not served; the error text.
cdef bytes refusal_text(Engine e, Verdict verdict, int slot, int target)
# The node that MOVED or ASK names.
cdef int target_of(Engine e, Verdict verdict, int slot) noexcept nogil
# A request has been queued: remember its slot for EXEC.
cdef int note_queued(Session s, Call* c) except -1
