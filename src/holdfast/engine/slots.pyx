"""Redirection: whether this node of a cluster serves the keys of a request.

What it is: the questions of https://redis.io/docs/reference/cluster-spec/ ("Redirection and
resharding") over the `SlotTable` of the engine, and the errors they end in. A request with
one key in a slot that is ours, stays so, and of a cluster that serves, passes by one look at
`SlotTable.plain` (`plainly_served`); everything else comes to `judge`.

What it is not: who owns a slot. That is told from outside by `set_slots` and its like; a node
is a small number there, 0 nobody and 1 this node.

How to read it: the doors for the node first, then `judge` with `look_at_keys`, `decide` and
the errors, then what happens to sessions that wait when a slot goes.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport abort, calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset
from holdfast.engine.blocking cimport park_request, unpark
from holdfast.engine.buf cimport Slice, slice_bytes
from holdfast.engine.checksum cimport key_slot
from holdfast.engine.dispatch cimport look_up
from holdfast.engine.keyspace cimport ks_is_expired, ks_peek
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.record cimport Record
from holdfast.engine.registry cimport find_command
from holdfast.engine.reply cimport reply_error_bytes
from holdfast.engine.request cimport parse_request
from holdfast.engine.slot_table cimport (
    KEYS_ASKED, KEYS_NONE, KEYS_ONE, KEYS_QUEUED, KEYS_RULES, OWNER_ME, OWNER_NONE, SLOT_COUNT, KeyRule,
    KeyRules, SlotTable)
from holdfast.engine.state cimport (
    CMD_ASKING, CMD_MAY_REPLICATE, CMD_WRITE, GUARD_CLUSTER, GUARD_MULTI, S_ASKING, S_BLOCKED,
    S_DENY_BLOCKING, S_MULTI, S_READONLY, Call, Engine, Session)

from holdfast.engine import blocking     # the module: whoever is imported first, it is whole when called

cdef enum:
    RULES_MOST = 3
    CLOSED = 1 << 12        # added to `in_transit`: reads wait, too


# ---- what the node tells ----

def enter_cluster_mode(Engine e):
    """Make the engine ask where keys are; all commands must be declared. Nobody owns a slot yet."""
    if e.slots != NULL:
        raise ValueError("the engine is in cluster mode already")
    e.slots = <SlotTable*>calloc(1, sizeof(SlotTable))
    if e.slots == NULL:
        abort()
    e.slots.rule_count = e.command_count
    e.slots.rules = <KeyRules*>calloc(e.command_count, sizeof(KeyRules))
    if e.slots.rules == NULL:
        abort()
    e.slots.channels_when_down = True
    e.slot_nodes = []
    e.guard |= GUARD_CLUSTER


def set_key_rules(Engine e, str command, str kind, rules=(), bint channels=False, bint moves_keys=False):
    """Say where a command's keys are.

    `kind` is "none", "queued" (EXEC), "asked" (by `Engine.find_keys`) or "rules"; `rules` are
    tuples of the members of `KeyRule` but the keyword, which comes last.
    """
    cdef bytes name = command.encode()
    cdef bytes keyword
    cdef int id, i
    cdef KeyRules* r
    cdef KeyRule* rule
    if find_command(e, name, len(name)) == NULL:
        raise ValueError(f"no command {command!r}")
    id = find_command(e, name, len(name)).id
    r = &e.slots.rules[id]
    memset(r, 0, sizeof(KeyRules))
    r.kind = {"none": KEYS_NONE, "queued": KEYS_QUEUED, "asked": KEYS_ASKED, "rules": KEYS_RULES}[kind]
    r.channels = channels
    r.moves_keys = moves_keys
    if len(rules) > RULES_MOST:
        raise ValueError(f"too many key rules for {command!r}")
    r.count = <int>len(rules)
    for i in range(r.count):
        rule = &r.rule[i]
        (rule.begin, rule.begin_from, rule.last, rule.step, rule.limit, rule.keynum, rule.first,
         keyword) = rules[i]
        memcpy(rule.keyword, <const char*>keyword, min(len(keyword), sizeof(rule.keyword) - 1))
    rule = &r.rule[0]
    if r.count == 1 and rule.begin and rule.keynum < 0 and rule.last == 0:
        if -e.commands[id].arity > rule.begin or e.commands[id].arity > rule.begin:
            r.kind = KEYS_ONE
            r.at = rule.begin


cdef void refresh(SlotTable* t, int slot) noexcept nogil:
    t.plain[slot] = (
        t.serves and t.owner[slot] == OWNER_ME and t.target[slot] == OWNER_NONE and not t.importing[slot]
        and not t.in_transit[slot])


def set_owners(Engine e, int first, int last, int owner):
    """Set who owns a run of slots that are not being moved; both ends belong to it."""
    cdef int slot
    if not 0 <= first <= last < SLOT_COUNT:
        raise ValueError(f"no slots {first} to {last}")
    for slot in range(first, last + 1):
        e.slots.owner[slot] = owner
        e.slots.target[slot] = OWNER_NONE
        e.slots.importing[slot] = False
        refresh(e.slots, slot)


def set_slot(Engine e, int slot, int owner, int target, bint importing):
    """Set who owns a slot, where it is being moved (0: nowhere), and whether it is being moved to us."""
    if not 0 <= slot < SLOT_COUNT:
        raise ValueError(f"no slot {slot}")
    e.slots.owner[slot] = owner
    e.slots.target[slot] = target
    e.slots.importing[slot] = importing
    refresh(e.slots, slot)


def set_nodes(Engine e, list nodes, int primary):
    """Set the nodes by number (`Engine.endpoint_of` is asked about them), and which is our primary (or 0)."""
    e.slot_nodes = nodes
    e.slots.primary = primary


def set_state(Engine e, bint serves, bint reads_when_down, bint channels_when_down):
    """Set whether the cluster serves, and what is served when it does not."""
    cdef int slot
    e.slots.reads_when_down = reads_when_down
    e.slots.channels_when_down = channels_when_down
    if serves != e.slots.serves:
        e.slots.serves = serves
        for slot in range(SLOT_COUNT):
            refresh(e.slots, slot)


def begin_transit(Engine e, int slot):
    """Keys of a slot are on their way to another node: writes to the slot wait until they have arrived."""
    e.slots.in_transit[slot] += 1
    refresh(e.slots, slot)


def end_transit(Engine e, int slot):
    """The keys have arrived, or not; what waited runs."""
    e.slots.in_transit[slot] -= 1
    refresh(e.slots, slot)
    if not e.slots.in_transit[slot]:
        blocking.resume_paused(e)


def hold_slots(Engine e, slots):
    """These slots are about to travel as a whole: writes to them wait."""
    cdef int slot
    for slot in slots:
        e.slots.in_transit[slot] += 1
        refresh(e.slots, slot)


def close_slots(Engine e, slots):
    """Slots that are held are about to be another node's: reads wait, too."""
    cdef int slot
    for slot in slots:
        e.slots.in_transit[slot] += CLOSED


def release_slots(Engine e, slots, bint closed):
    """It is decided whose the slots are; what waited runs."""
    cdef int slot
    for slot in slots:
        e.slots.in_transit[slot] -= 1 + closed * CLOSED
        refresh(e.slots, slot)
    blocking.resume_paused(e)


def slot_of_key(bytes key):
    """Return the hash slot of a key or a shard channel."""
    return key_slot(key, len(key))


def owner_of_slot(Engine e, int slot):
    """Return the index of the node that owns a slot, as last told."""
    if not 0 <= slot < SLOT_COUNT:
        raise ValueError(f"no slot {slot}")
    return e.slots.owner[slot]


# ---- where the keys of a call are ----

cdef inline void add_position(SlotTable* t, int count, int position) noexcept:
    if count == t.position_cap:
        t.position_cap = 2 * count + 16
        t.positions = <int*>realloc(t.positions, t.position_cap * sizeof(int))
        if t.positions == NULL:
            abort()
    t.positions[count] = position


cdef bint is_keyword(Slice word, const char* keyword) noexcept nogil:
    cdef size_t i
    cdef char c
    for i in range(word.len):
        c = word.ptr[i]
        if c'A' <= c <= c'Z':
            c += 32
        if c != keyword[i] or c == 0:
            return False
    return keyword[word.len] == 0


cdef int behind_keyword(KeyRule* rule, Call* c) noexcept nogil:
    """Where the keys begin that a keyword announces; 0: it is not there."""
    cdef int i
    if rule.begin_from > 0:
        for i in range(rule.begin_from, c.argc):
            if is_keyword(c.argv[i], rule.keyword):
                return i + 1
    else:
        for i in range(c.argc + rule.begin_from, 0, -1):
            if i < c.argc and is_keyword(c.argv[i], rule.keyword):
                return i + 1
    return 0


cdef int apply_rule(SlotTable* t, KeyRule* rule, Call* c, int count) noexcept:
    """Add the keys of one rule behind `count` others; how many there are, -1: the call makes no sense."""
    cdef int first = rule.begin, last, i
    cdef int64_t number
    if first == 0:
        first = behind_keyword(rule, c)
        if first == 0:
            return count
    if rule.keynum < 0:
        last = first + rule.last if rule.last >= 0 else c.argc + rule.last
        if rule.limit > 1 and rule.last == -1:
            last = first + (c.argc - first) // rule.limit - 1
    else:
        i = first + rule.keynum
        if i >= c.argc or not parse_int64(c.argv[i].ptr, c.argv[i].len, &number) or number < 0 \
                or number > c.argc:
            return -1
        first += rule.first
        last = first + (<int>number - 1) * rule.step
    if last >= c.argc or (first >= c.argc and last >= first):
        return -1
    for i in range(first, last + 1, rule.step):
        add_position(t, count, i)
        count += 1
    return count


cdef int find_positions(Engine e, Call* c) except -1:
    cdef SlotTable* t = e.slots
    cdef KeyRules* r = &t.rules[c.command.id]
    cdef int count = 0, i
    if r.kind == KEYS_ONE:
        add_position(t, 0, r.at)
        return 1
    if r.kind == KEYS_RULES:
        for i in range(r.count):
            count = apply_rule(t, &r.rule[i], c, count)
            if count < 0:
                return 0
    elif r.kind == KEYS_ASKED:
        found = e.find_keys((<bytes>c.command.name).decode(), [slice_bytes(c.argv[i]) for i in range(c.argc)])
        for position in found:
            add_position(t, count, position)
            count += 1
    return count


# ---- the judgement ----

cdef int look_at_keys(Engine e, Call* c, KeyCheck* check) except -1:
    """Take the keys of one call into account, as far as it needs: nothing counts behind a crossed slot."""
    cdef SlotTable* t = e.slots
    cdef KeyRules* r = &t.rules[c.command.id]
    cdef int count = find_positions(e, c)
    cdef int i, slot
    cdef Slice key
    cdef Record* record
    for i in range(count):
        key = c.argv[t.positions[i]]
        slot = slot_of(e.ks.dbs, key.ptr, key.len)
        if check.slot < 0:
            check.slot = slot
            check.first = key
        elif slot != check.slot:
            check.crossed = True
            return 0
        elif key.len != check.first.len or memcmp(key.ptr, check.first.ptr, key.len):
            check.different = True
        if not r.channels and (t.target[slot] != OWNER_NONE or t.importing[slot]):
            record = ks_peek(&e.ks, e.ks.dbs, key)
            if record == NULL or ks_is_expired(&e.ks, record):
                check.missing += 1
            else:
                check.existing += 1
        if t.owner[slot] == OWNER_NONE:
            return 0
    return 0


cdef int look_at_queue(Session s, KeyCheck* check) except -1:
    """Take the keys of all queued calls into account; the arguments of EXEC itself stay where they are."""
    cdef Engine e = s.engine
    cdef Slice* argv = e.argv
    cdef int argv_cap = e.argv_cap
    cdef size_t at = 0, used = 0
    cdef Call c
    e.argv = NULL
    e.argv_cap = 0
    try:
        while not check.crossed and at < s.queue.len \
                and parse_request(s, s.queue.ptr + at, s.queue.len - at, &used, &c) == 1:
            at += used
            if look_up(s, &c) != NULL:
                look_at_keys(e, &c, check)
    finally:
        free(e.argv)
        e.argv = argv
        e.argv_cap = argv_cap
    return 0


cdef Verdict decide(
        SlotTable* t, KeyCheck* check, uint64_t session, uint64_t flags, bint writes) noexcept nogil:
    """Judge by what the keys have shown; `flags` are the command's own, `writes` tells of the queue too."""
    cdef int slot = check.slot
    cdef int owner = t.owner[slot]
    cdef bint migrating = owner == OWNER_ME and t.target[slot] != OWNER_NONE
    cdef bint importing = not migrating and t.importing[slot]
    if owner == OWNER_NONE:
        return UNBOUND
    if check.crossed:
        return CROSSSLOT
    if not t.serves:
        if check.channels:
            if not t.channels_when_down:
                return DOWN
        elif not t.reads_when_down:
            return DOWN
        elif flags & CMD_WRITE:
            return DOWN_READS_ONLY
    if (migrating or importing) and check.moves_keys:
        return SERVED
    if migrating and check.missing:
        return TRYAGAIN if check.existing else ASK
    if importing and (session & S_ASKING or flags & CMD_ASKING):
        return TRYAGAIN if check.different and check.missing else SERVED
    if owner == OWNER_ME:
        return SERVED
    if owner == t.primary and not writes and (session & S_READONLY or check.channels):
        return SERVED
    return MOVED


cdef Verdict judge(Session s, Call* c, uint64_t flags, int* slot) except *:
    cdef Engine e = s.engine
    cdef KeyRules* r = &e.slots.rules[c.command.id]
    cdef KeyCheck check
    cdef bint writes = c.command.flags & CMD_WRITE != 0
    memset(&check, 0, sizeof(KeyCheck))
    check.slot = -1
    check.channels = r.channels
    check.moves_keys = r.moves_keys
    if r.kind == KEYS_QUEUED:
        if not flags & S_MULTI or s.queued_slot == -1:
            slot[0] = -1
            return SERVED
        writes = s.queued_flags & CMD_WRITE != 0
        if s.queued_slot >= 0 and e.slots.plain[s.queued_slot]:
            slot[0] = s.queued_slot
            return SERVED
        look_at_queue(s, &check)
    else:
        look_at_keys(e, c, &check)
    slot[0] = check.slot
    if check.slot < 0:
        return SERVED
    return decide(e.slots, &check, flags, c.command.flags, writes)


cdef bint waits_for_transit(Session s, Call* c, int slot) except? False:
    cdef Engine e = s.engine
    cdef KeyRules* r = &e.slots.rules[c.command.id]
    cdef uint64_t flags = s.queued_flags if r.kind == KEYS_QUEUED else c.command.flags
    if slot < 0 or not e.slots.in_transit[slot] or r.moves_keys:
        return False
    if not flags & (CMD_WRITE | CMD_MAY_REPLICATE) and e.slots.in_transit[slot] < CLOSED:
        return False
    if s.flags & S_DENY_BLOCKING or s.guard & GUARD_MULTI and r.kind != KEYS_QUEUED:
        return False
    park_request(s, c, "migrate")
    return True


cdef int note_queued(Session s, Call* c) except -1:
    cdef Engine e = s.engine
    cdef int count = find_positions(e, c)
    cdef int i, slot
    cdef Slice key
    for i in range(count):
        key = c.argv[e.slots.positions[i]]
        slot = slot_of(e.ks.dbs, key.ptr, key.len)
        if s.queued_slot == -1:
            s.queued_slot = slot
        elif s.queued_slot != slot:
            s.queued_slot = -2
    return 0


# ---- the errors ----

cdef int target_of(Engine e, Verdict verdict, int slot) noexcept nogil:
    return e.slots.target[slot] if verdict == ASK else e.slots.owner[slot]


cdef bytes refusal_text(Engine e, Verdict verdict, int slot, int target):
    if verdict == MOVED or verdict == ASK:
        return b"%s %d %s" % (
            b"ASK" if verdict == ASK else b"MOVED", slot, e.endpoint_of(e.slot_nodes[target]))
    if verdict == CROSSSLOT:
        return b"CROSSSLOT Keys in request don't hash to the same slot"
    if verdict == TRYAGAIN:
        return b"TRYAGAIN Multiple keys request during rehashing of slot"
    if verdict == DOWN_READS_ONLY:
        return b"CLUSTERDOWN The cluster is down and only accepts read commands"
    if verdict == UNBOUND:
        return b"CLUSTERDOWN Hash slot not served"
    return b"CLUSTERDOWN The cluster is down"


# ---- sessions that wait ----

def redirect_parked(Engine e):
    """Send away the sessions that wait for keys which this node no longer serves.

    If the cluster is down, all of them, whatever may be read: what they wait for is a write.
    """
    cdef Session s
    cdef Verdict verdict
    cdef int slot, owner
    if not e.blocked_keys:
        return
    for s in {session for waiting in e.blocked_keys.values() for session in waiting}:
        if not s.flags & S_BLOCKED or not isinstance(s.blocked_on, list):
            continue
        slot = key_slot(s.blocked_on[0][1], len(s.blocked_on[0][1]))
        owner = e.slots.owner[slot]
        if not e.slots.serves:
            verdict = DOWN
        elif owner == OWNER_ME or e.slots.importing[slot]:
            continue
        elif owner == OWNER_NONE:
            verdict = UNBOUND
        elif (s.flags & S_READONLY and owner == e.slots.primary
                and s.last_command != NULL and not s.last_command.flags & CMD_WRITE):
            continue
        else:
            verdict = MOVED
        reply_error_bytes(s, refusal_text(e, verdict, slot, owner))
        unpark(s)
